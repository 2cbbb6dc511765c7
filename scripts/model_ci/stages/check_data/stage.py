"""Check data: is it what was agreed on, can a model be learnt from it, and which version is it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from model_ci.config import Config
from model_ci.data import cut, rowhash, source, table
from model_ci.data.cut import Cut, Part
from model_ci.data.finding import Finding
from model_ci.data.scan import Scan
from model_ci.data.source import DataVersion
from model_ci.data.span import Span
from model_ci.run import Result, Run
from model_ci.stages.check_data import contract, leakage
from model_ci.stages.check_data.answers import Answers
from model_ci.stages.check_data.conformity import RULES, Conformity
from model_ci.stages.check_data.contract import Learner
from model_ci.stages.check_data.future import Future
from model_ci.stages.check_data.leakage import Overlap, Sample
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.record_types import CheckDataCheck


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The data's bytes, how they are cut, the contract, and what is asked of the data."""
    agreed = config.root / config.check_data.contract
    return {
        "data": source.version(source.resolve(config.data, config.root)).sha256,
        "data section": config.values["data"],
        "check-data section": config.values["check-data"],
        "contract": source.sha256(agreed) if agreed.is_file() else None,
        "task": config.model.task,
    }


def run(config: Config, run: Run) -> Result:
    """Read the rows once, batch by batch, and tell all that is wrong with them."""
    name = config.check_data.contract
    present = (config.root / name).is_file()
    agreed = contract.read(config.root / name, name) if present else None
    reading = _Reading(config)
    conformity = Conformity(agreed, reading.scan) if agreed else None
    soundness = _Soundness(config, reading)
    for part in reading.parts():
        hashes = part.hashes()
        if conformity:
            conformity.add(part.rows, hashes)
        soundness.add(part, hashes)
    reading.confirm()
    soundness.span.check(config.data.path)
    checks, findings = soundness.judge()
    if conformity:
        broken = conformity.findings()
        checks += [_check(f"contract: {rule}", [f for f in broken if f.rule == rule], "as agreed") for rule in RULES]
        findings += broken
    else:
        findings.append(_no_contract(name))
    findings += [*reading.converted(), *_strayed(reading.version)]
    section = {
        "data": {**reading.version.as_record(), **soundness.span.as_record()},
        "contract": {"path": name, "present": present, "learnt": False},
        "checks": checks,
        "findings": [finding.as_record() for finding in findings],
    }
    failed = any(finding.level == "failure" for finding in findings)
    return Result(section=section, verdict=Verdict.FAILED if failed else Verdict.PASSED)


def learn(config: Config) -> Path:
    """Learn the contract from the rows of the window and write its file; return the file."""
    reading = _Reading(config)
    learner = Learner(reading.scan, unused=config.data.exclude)
    for part in reading.parts():
        learner.add(part.rows, part.hashes())
    reading.confirm()
    file = config.root / config.check_data.contract
    contract.write(file, learner.contract(), rows=learner.rows, location=config.data.path)
    return file


class _Reading:
    """The data, found and understood, and its rows that count."""

    def __init__(self, config: Config) -> None:
        self._source = source.resolve(config.data, config.root)
        self.version = source.version(self._source)
        self.scan = Scan(self._source, config.data.time_column)
        self.features = table.feature_names(config.data, self.scan)
        self.cut: Cut = cut.find(config.data, self.scan, self.features)

    def parts(self) -> "Iterator[Part]":
        """Yield the rows, a few at a time."""
        yield from self.cut.parts(self.scan.batches())

    def converted(self) -> list[Finding]:
        """Tell which of the model's columns do not reach it as they stand in the files."""
        used = tuple(f": {name}" for name in self.features)
        return [finding for finding in self.scan.converted() if finding.where.endswith(used)]

    def confirm(self) -> None:
        """Raise ConfigError when the files changed while they were read."""
        source.confirm(self._source, self.version)


class _Soundness:
    """What must hold of any data, agreed on or not."""

    def __init__(self, config: Config, reading: _Reading) -> None:
        self._config, self._reading = config, reading
        target = config.data.target
        used = [*reading.features, target]
        self._answers = Answers(target, config.model.task, reading.scan.kinds[target])
        self._overlap, self._sample = Overlap(used), Sample(used)
        self._future = Future(reading.cut.clock)
        self.span = Span(reading.cut)

    def add(self, part: Part, hashes: dict[str, rowhash.RowHashes]) -> None:
        """Take some rows and the hashes of their values."""
        rows, held = part.rows, part.held
        self._future.add(rows)
        labelled = rows[self._config.data.target].is_not_null()
        if not labelled.all():
            chosen = labelled.to_numpy()
            rows, held = rows.filter(labelled), held[chosen]
            hashes = {name: values[chosen] for name, values in hashes.items()}
        self.span.add(rows, held, unlabelled=part.rows.height - rows.height)
        self._answers.add(rows, held)
        self._overlap.add(hashes, held)
        self._sample.add(rows, hashes, ~held)

    def judge(self) -> "tuple[list[CheckDataCheck], list[Finding]]":
        """Return every check that was made, and what it found."""
        settings, columns = self._config.check_data, self._reading.scan.schema
        few, target = self._few_rows(), self._answers.findings()
        overlapping = self._overlap.findings(settings.overlap)
        unsound = [finding for finding in target if finding.level == "failure"]
        leaks, strongest = self._leaks() if not unsound else ([], "")
        odd, future = self._reading.scan.odd_cells(), self._future.findings(settings.future)
        seen, held = self._overlap.counts()
        checks = [
            _check("columns", [], f"{len(columns)} columns, each with a name of its own"),
            _check("odd-cells", odd, "no column is text because of a few cells"),
            _check("rows", few, f"{self.span.rows}, at least {settings.min_rows}"),
            _check("future", future, "no time lies in the future"),
            _check("target", target, f"{self._config.data.target} fits the task {self._config.model.task}"),
            _check("overlap", overlapping, f"{seen} of {held} rows of the holdout stand in the training rows"),
            _check("leakage", leaks or unsound, strongest),
        ]
        return checks, [*odd, *few, *future, *target, *overlapping, *leaks]

    def _few_rows(self) -> list[Finding]:
        needed = self._config.check_data.min_rows
        if self.span.rows >= needed:
            return []
        what = f"{self.span.rows} in the window, at least {needed} are needed; widen data.window, or lower check-data.min_rows"
        return [Finding(rule="rows", where="rows", what=what, count=self.span.rows)]

    def _leaks(self) -> tuple[list[Finding], str]:
        target, task = self._config.data.target, self._config.model.task
        powers = leakage.powers(self._sample.rows(), self._reading.features, target, task)
        strongest = max(powers, key=lambda name: powers[name])
        return (
            leakage.findings(powers, target, task, self._config.check_data.leakage),
            f"{strongest} says most about {target}: {powers[strongest]:.4f}",
        )


def _check(name: str, findings: list[Finding], detail: str) -> "CheckDataCheck":
    messages = "; ".join(f"{finding.where}: {finding.what}" for finding in findings)
    return {"name": name, "passed": all(f.level == "warning" for f in findings), "detail": messages or detail}


def _no_contract(name: str) -> Finding:
    what = "there is no data contract, so columns, types and ranges are not checked; write one with `model-ci check-data --learn`, and commit it"
    return Finding(rule="contract", where=name, what=what, level="warning")


def _strayed(version: DataVersion) -> list[Finding]:
    """Warn of data that DVC knows in another version: others cannot get what is used here."""
    return [
        Finding(
            rule="dvc",
            where=pointer.path,
            what="differs from what DVC's pointer says; take the change over with `dvc commit`, or undo it with `dvc checkout`",
            level="warning",
        )
        for pointer in version.dvc or ()
        if not pointer.matches
    ]
