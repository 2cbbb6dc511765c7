"""The selftest: models and data that are known to be bad, planted before the user's own gates, which must refuse them.

What is planted is judged by the very code that judges a model; only what the model said is made up.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci import entrypoint, git, judgement
from model_ci.commands.selftest import faults
from model_ci.config import Config
from model_ci.config.conditions import compares, tolerates
from model_ci.data import cut, rowhash, source, table
from model_ci.data.finding import Finding
from model_ci.data.scan import Scan
from model_ci.frozen import dataclass
from model_ci.gates.metrics import MEASURED, Metric
from model_ci.gates.outputs import Outputs, Scores
from model_ci.judgement import Side
from model_ci.origin.training_rows import TrainingRows
from model_ci.pipeline import fingerprint
from model_ci.pipeline.surroundings import CODE, Surroundings
from model_ci.run import Run
from model_ci.serving import classes as naming
from model_ci.stages import STAGES
from model_ci.stages.check_data import contract
from model_ci.stages.check_data.conformity import Conformity
from model_ci.stages.check_data.contract import Column, Contract
from model_ci.terms import State, Verdict

if TYPE_CHECKING:
    import polars as pl

    from model_ci.data.table import Table
    from model_ci.record_types import Gate
    from model_ci.types import Label

Gates = Sequence["Gate"]
_NUMBERS: Final = ("integer", "number")


@dataclass(frozen=True, kw_only=True)
class Case:
    """What was planted, what must follow, and what did; `holds` is None where nothing could be tried."""

    name: str
    expected: str
    outcome: str
    holds: bool | None


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Every case, and by condition of each gate what it alone said of each planted model, by the model's name."""

    cases: Sequence[Case]
    gates: "Sequence[tuple[Gate, Mapping[str, str]]]"

    @property
    def passed(self) -> bool:
        """Whether no case came out otherwise than it must."""
        return all(case.holds is not False for case in self.cases)


def run(config: Config, run: Run) -> Findings:
    """Plant every case in the pipeline of a run that has trained; nothing is registered or recorded."""
    trained = run.require("train", wanted_by="selftest")
    data = table.load(config.data, root=config.root)
    run.require_data("train", data.version.sha256, "selftest")
    metrics = judgement.metrics(config)
    bench = _Bench(
        config, data, metrics, judgement.ask(config, run, data), _classes(config, trained["model"]["classes"])
    )
    cases = [*bench.cases(), _contaminated(run, data), _changed_gates(config, run), *_contract_cases(config)]
    return Findings(cases=cases, gates=bench.alone())


class _Bench:
    """The user's gates with the user's model at hand, before which models are planted."""

    def __init__(
        self, config: Config, data: "Table", metrics: Mapping[str, Metric], honest: Side, classes: "Sequence[Label]"
    ) -> None:
        self.config, self.data, self.metrics, self.honest = config, data, metrics, honest
        self.measured = {name: value for name, value in honest.scores.values.items() if name in MEASURED}
        self.refusing = {State.FAILED} | (
            {State.INCONCLUSIVE} if config.evaluate.uncertainty.inconclusive == "fail" else set()
        )
        answers = honest.outputs
        assert answers is not None  # noqa: S101 - a model that cannot be asked was an error before
        self.answers = answers
        self.planted = {
            "shuffled predictions": self._side(faults.shuffled(answers)),
            "constant prediction": self._side(_constant(answers, data, classes)),
            "predictions of NaN": self._side(faults.of_nan(answers)),
            **({"swapped classes": self._side(faults.swapped(answers))} if config.model.task == "binary" else {}),
            "missing metrics": Side(scores=Scores(values={}, reasons={}), outputs=None),
        }
        self.against_itself = self._weigh(honest, honest)
        self.first = self._weigh(honest, None)
        self.sections = {name: self._weigh(side, honest) for name, side in self.planted.items()}

    def cases(self) -> Iterator[Case]:
        """Yield each planted model and what became of it."""
        yield self._itself()
        for name, section in self.sections.items():
            every = name in ("predictions of NaN", "missing metrics")
            yield self._refused(name, section, self.against_itself, every=every)
            first = self._weigh(self.planted[name], None)
            yield self._refused(f"{name}, as the first model", first, self.first, every=every)
        yield self._first()
        yield self._few("an empty holdout", 0)
        yield self._few("too few rows", self.config.evaluate.min_rows - 1)
        yield self._of_one_class()
        yield self._without_threshold()
        yield self._of_the_target()
        yield self._bounds()

    def alone(self) -> "list[tuple[Gate, Mapping[str, str]]]":
        """Return what each condition said of each planted model."""
        honest: Gates = self.against_itself["gates"]
        return [
            (gate, {name: self._answer(section["gates"][i], gate) for name, section in self.sections.items()})
            for i, gate in enumerate(honest)
        ]

    def _side(self, outputs: Outputs) -> Side:
        return judgement.side(self.metrics, outputs, self.measured)

    def _weigh(self, challenger: Side, champion: Side | None) -> Mapping[str, Any]:
        return judgement.weigh(self.config, self.data.holdout, self.metrics, challenger, champion)

    def _answer(self, planted: "Gate", honest: "Gate") -> str:
        if planted["metric"] in MEASURED and planted["challenger"] == honest["challenger"]:
            return "does not look"
        if planted["state"] not in self.refusing:
            return "lets it through"
        if planted["challenger"] == honest["challenger"] and honest["state"] in self.refusing:
            return "refuses your model too"
        return "refused"

    def _refused(self, name: str, section: Mapping[str, Any], honest: Mapping[str, Any], *, every: bool) -> Case:
        """Tell whether a bad model was refused, and not but for what the good one would be refused for as well."""
        answers = [self._answer(p, h) for p, h in zip(section["gates"], honest["gates"], strict=True)]
        refusing = [_name(g) for g, a in zip(section["gates"], answers, strict=True) if a == "refused"]
        through = [
            _name(g)
            for g, a in zip(section["gates"], answers, strict=True)
            if every and a == "lets it through" and g["state"] == State.PASSED and g["condition"] != "own"
        ]
        unjudged = all(g["state"] == State.NO_CHAMPION for g in section["gates"])
        holds = section["verdict"] == Verdict.FAILED and bool(refusing or unjudged) and not through
        if through:
            outcome = f"let through by {', '.join(through)}"
        elif holds:
            outcome = f"refused by {', '.join(dict.fromkeys(refusing))}" if refusing else f"refused: {section['why']}"
        elif section["verdict"] == Verdict.PASSED:
            outcome = "let through: no gate refuses it"
        else:
            outcome = "refused, but only for what your own model is refused for too; no gate sees the difference"
        return Case(name=name, expected="refused", outcome=outcome, holds=holds)

    def _itself(self) -> Case:
        compared = [g for g in self.against_itself["gates"] if tolerates(g["condition"])]
        worse = [_name(g) for g in compared if g["state"] in self.refusing and g["difference"] is not None]
        expected, name = "not called worse", "the champion against itself"
        if not compared:
            return Case(name=name, expected=expected, outcome="no gate compares with the champion", holds=None)
        outcome = f"called worse by {', '.join(worse)}" if worse else "not called worse"
        return Case(name=name, expected=expected, outcome=outcome, holds=not worse)

    def _first(self) -> Case:
        gates: Gates = self.first["gates"]
        relative = [g for g in gates if compares(g["condition"])]
        judged = [_name(g) for g in relative if g["state"] == State.PASSED]
        passed = [g for g in gates if g["state"] == State.PASSED]
        holds = not judged and (self.first["verdict"] == Verdict.FAILED or bool(passed))
        outcome = f"{self.first['verdict']} by {len(gates) - len(relative)} absolute conditions" if holds else (
            f"judged against a champion that is not there: {', '.join(judged)}"
        )  # fmt: skip
        return Case(name="a first model", expected="judged by absolute gates alone", outcome=outcome, holds=holds)

    def _of_one_class(self) -> Case:
        name, expected = "a holdout of one class", "refused"
        if self.config.model.task == "regression":
            return Case(name=name, expected=expected, outcome="numbers have no classes", holds=None)
        rows = faults.of_one_class(self.answers)
        side = self._side(self.answers.drawn(rows))
        section = judgement.weigh(self.config, self.data.holdout.iloc[rows], self.metrics, side, None)
        outcome = f"{section['verdict']}: {section['why']}"
        return Case(name=name, expected=expected, outcome=outcome, holds=section["verdict"] == Verdict.FAILED)

    def _without_threshold(self) -> Case:
        """Plant labels that ignore the model's threshold; only a gate on labels can see it."""
        name, expected = "an ignored threshold", "refused"
        if self.config.model.task != "binary":
            return Case(name=name, expected=expected, outcome="only two classes have a threshold", holds=None)
        section = self._weigh(self._side(faults.without_threshold(self.answers)), None)
        case = self._refused(name, section, self.first, every=False)
        if case.holds:
            return case
        outcome = "no gate on labels refuses it; add one on precision or balanced_accuracy"
        return replace(case, outcome=outcome, holds=None)

    def _of_the_target(self) -> Case:
        name, expected = "a model that knows the target", "refused"
        if self.config.evaluate.too_good is None:
            return Case(name=name, expected=expected, outcome="evaluate.too_good is null", holds=None)
        section = self._weigh(self._side(faults.of_the_target(self.answers)), None)
        measured = section["too_good"]
        if measured is None:
            return Case(name=name, expected=expected, outcome="too few held-out rows to tell", holds=None)
        holds = section["verdict"] == Verdict.FAILED and measured["share"] >= measured["limit"]
        outcome = "refused as too good to be true" if holds else "not noticed as too good"
        return Case(name=name, expected=expected, outcome=outcome, holds=holds)

    def _bounds(self) -> Case:
        """Compare with a model that answers a tenth of the rows otherwise: some resamples have more of them than others."""
        name, expected = "a model that differs in a tenth of the rows", "compared by bounds that are apart"
        section = self._weigh(self._side(faults.a_little_worse(self.answers)), self.honest)
        compared = [g for g in section["gates"] if compares(g["condition"]) and g["interval"]]
        if not compared:
            return Case(name=name, expected=expected, outcome="no gate compares by bounds", holds=None)
        without = [_name(g) for g in compared if g["difference"] and g["interval"][0] == g["interval"][1]]
        outcome = f"bounds of {', '.join(without)} are equal, as if chance had no part" if without else "compared so"
        return Case(name=name, expected=expected, outcome=outcome, holds=not without)

    def _few(self, name: str, rows: int) -> Case:
        import numpy as np

        few = self.data.holdout.iloc[:rows]
        side = self._side(self.answers.drawn(np.arange(len(few))))
        section = judgement.weigh(self.config, few, self.metrics, side, side)
        holds = section["verdict"] == Verdict.FAILED
        return Case(name=name, expected="refused", outcome=f"{section['verdict']}: {section['why']}", holds=holds)


def _contaminated(run: Run, data: "Table") -> Case:
    """Hold out rows that the model has learnt from: its own filter must recognize them."""
    name, expected = "a holdout that the model has learnt from", "recognized"
    recorded = run.require("train", wanted_by="selftest").get("training_rows")
    if recorded is None:
        return Case(name=name, expected=expected, outcome="the run has no record of its training rows", holds=False)
    learnt = TrainingRows.read(run.folder / recorded["folder"], f"run {run.id}")
    planted = data.train.tail(len(data.holdout))
    seen = int(learnt.contain(planted).sum())
    whole = recorded["rows"] >= len(data.train)  # a sample or a short window leaves rows out
    outcome = f"{seen:,} of {len(planted):,} rows recognized and left out"
    return Case(name=name, expected=expected, outcome=outcome, holds=seen == len(planted) if whole else seen > 0)


def _changed_gates(config: Config, run: Run) -> Case:
    """Change a limit, and ask of each own function's file whether a change of it would be noticed."""
    name, expected = "a changed gate", "judged again"
    stage, around = STAGES["evaluate"], Surroundings(config)
    section = config.values["evaluate"]
    altered = replace(config, values={**config.values, "evaluate": {**section, "gates": [*section["gates"], {}]}})
    if fingerprint.digests(stage.inputs(altered, run)) == fingerprint.digests(stage.inputs(config, run)):
        return Case(name=name, expected=expected, outcome="a change of evaluate.gates is not noticed", holds=False)
    files = around.inputs(stage, run).get(CODE, {})
    unseen = [file for file in _own_files(config) if file not in files]
    outcome = f"a change of {', '.join(unseen)} is not noticed; add it to evaluate.code" if unseen else "judged again"
    return Case(name=name, expected=expected, outcome=outcome, holds=not unseen)


def _own_files(config: Config) -> list[str]:
    """Return the files below the configuration that the user's own metrics and gates are defined in."""
    judged, root = config.evaluate, config.root.resolve()
    names = [*judged.own_gates, *judged.metrics, *(gate.metric for gate in judged.gates)]
    functions = [entrypoint.load(name, config.root, "evaluate") for name in dict.fromkeys(names) if ":" in name]
    files = [Path(file).resolve() for file in map(inspect.getsourcefile, functions) if file]
    top = git.Checkout(config.root).top
    return [file.relative_to(top).as_posix() for file in dict.fromkeys(files) if file.is_relative_to(root)]


def _constant(answers: Outputs, data: "Table", classes: "Sequence[Label]") -> Outputs:
    """Return what a model says that has learnt nothing but the training rows' mean, or their shares of the classes."""
    import numpy as np

    target, rows = data.train[data.target], len(answers.truth)
    if not classes:
        return Outputs(truth=answers.truth, labels=np.full(rows, float(target.mean())), probabilities=None)
    shares = np.bincount(naming.codes(target, classes), minlength=len(classes)) / len(target)
    probabilities = None if answers.probabilities is None else np.tile(shares, (rows, 1))
    return Outputs(truth=answers.truth, labels=np.full(rows, shares.argmax()), probabilities=probabilities)


def _classes(config: Config, known: "Sequence[Label]") -> "list[Label]":
    """Return a model's classes as metrics take them: of two, the positive one is the last."""
    place = naming.positive(known, config.model.positive) if config.model.task == "binary" else None
    return list(known) if place is None else [known[1 - place], known[place]]


def _name(gate: "Gate") -> str:
    by = f" by {gate['by']}" if gate["by"] else ""
    condition = "" if gate["limit"] is None else f" {gate['condition']}"
    return f"{gate['metric']}{by}{condition}"


def _contract_cases(config: Config) -> Iterator[Case]:
    """Yield what the data contract says of the data as it is, and of the data with its values moved."""
    name = config.check_data.contract
    same, moved = "the data as it is", "data moved out of its ranges"
    if not (config.root / name).is_file():
        outcome = "there is no data contract; write one with `model-ci check-data --learn`"
        yield Case(name=same, expected="keeps the contract", outcome=outcome, holds=None)
        yield Case(name=moved, expected="refused", outcome=outcome, holds=None)
        return
    agreed = contract.read(config.root / name, name)
    broken = _findings(config, agreed, moved=False)
    problem = f"{broken[0].where}: {broken[0].what}" if broken else "keeps the contract"
    yield Case(name=same, expected="keeps the contract", outcome=problem, holds=not broken)
    yield _moved_case(moved, agreed, _findings(config, agreed, moved=True))


def _moved_case(name: str, agreed: Contract, findings: Sequence[Finding]) -> Case:
    bounded = [column for column, spec in agreed.columns.items() if _is_bounded(spec)]
    seen = {finding.where for finding in findings if finding.rule in ("ranges", "values")}
    unseen = [column for column in bounded if column not in seen]
    if not bounded:
        outcome = "no column of the contract has bounds or values, so that nothing would be noticed"
    else:
        outcome = f"not noticed in {', '.join(unseen)}" if unseen else f"refused in {len(bounded)} columns"
    return Case(name=name, expected="refused", outcome=outcome, holds=bool(bounded) and not unseen)


def _findings(config: Config, agreed: Contract, *, moved: bool) -> list[Finding]:
    scan = Scan(source.resolve(config.data, config.root), config.data.time_column)
    conformity = Conformity(agreed, scan)
    features = table.feature_names(config.data, scan)
    for part in cut.find(config.data, scan, features).parts(scan.batches()):
        rows = _move(part.rows, agreed) if moved else part.rows
        conformity.add(rows, rowhash.of_columns(rows))
    return conformity.findings()


def _is_bounded(column: Column) -> bool:
    if column.type in _NUMBERS:
        return column.min is not None or column.max is not None
    return column.values is not None


def _move(batch: "pl.DataFrame", agreed: Contract) -> "pl.DataFrame":
    """Move every bounded value out of its bounds, and make every text that is one of few another."""
    import polars as pl

    moved = []
    for name, column in agreed.columns.items():
        if name not in batch.columns or not _is_bounded(column):
            continue
        if column.type == "text" and batch[name].dtype == pl.String:
            moved.append(pl.col(name) + " (moved)")
        elif batch[name].dtype.is_numeric():
            beyond = column.max + 1 if column.max is not None else column.min - 1
            moved.append(pl.when(pl.col(name).is_not_null()).then(pl.lit(beyond)).cast(batch[name].dtype).alias(name))
    return batch.with_columns(moved)
