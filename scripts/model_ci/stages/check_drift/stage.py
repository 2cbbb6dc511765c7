"""Check-drift: whether today's rows are still like those that the model learnt from, and what of them is not."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci.config import CheckDrift, Config
from model_ci.errors import ConfigError
from model_ci.production import rows
from model_ci.profile.profile import FILE, Profile
from model_ci.run import Result, Run
from model_ci.stages.check_drift import judging, preset, reference
from model_ci.stages.check_drift.observation import Observation, observe
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.record_types import CheckDriftResult


FOLDER: Final = "drift"  # of the run
_HERE: Final = "check-drift"


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The settings; what the rows are is read anew each time."""
    return {"check-drift section": config.values[_HERE]}


def check(config: Config) -> None:
    """Find what is not set or contradicts itself."""
    wrong = [*_wrong(config.check_drift)]
    if wrong:
        raise ConfigError(*wrong)


def run(config: Config, run: Run) -> Result:
    """Compare and judge; the verdict is failed for drift, for rows that cannot be judged, and for a broken log."""
    check(config)
    against = reference.find(config, run)
    opened = rows.open(
        str(config.check_drift.rows),
        config.root,
        [str(c) for c in against.profile.made.get("classes", ())],
        config.data.csv,
    )
    observation = observe(config, against, opened)
    conclusion = (
        preset.judge(observation) if config.check_drift.rules == "evidently" else judging.judge(observation, run)
    )
    with run.new_folder(FOLDER) as folder:
        files = _leave(folder, observation)
    section: CheckDriftResult = {**observation.as_record(), **conclusion, "folder": FOLDER, "files": files}
    return Result(section=section, verdict=_verdict(section, config.check_drift))


def _wrong(settings: CheckDrift) -> Iterator[str]:
    if settings.rows is None:
        yield f"{_HERE}.rows: is not set; name the rows that the service was sent"
    table = settings.reference is not None and not settings.reference.endswith(".json.gz")
    for key, asked in {
        "rules: evidently": settings.rules == "evidently",
        "joint": settings.joint.rows > 0,
        "evidently_report": settings.evidently_report,
    }.items():
        if asked and not table:
            yield f"{_HERE}.{key}: needs the reference's rows themselves; name a table as {_HERE}.reference"
    if settings.windows.needed > settings.windows.of:
        yield f"{_HERE}.windows: needed {settings.windows.needed} is more than of {settings.windows.of}; no column can drift"
    if settings.rules == "evidently":
        if "total_variation" in (settings.numbers, settings.categories):
            yield f"{_HERE}: total_variation is not among Evidently's distances; choose another, or rules: own"
        if settings.windows.of > 1 or settings.seasonal:
            yield f"{_HERE}.rules: evidently looks at one window and knows no seasons; use rules: own"
    if settings.environment and settings.version != "champion":
        yield f"{_HERE}: environment and version both name a version; leave one of them out"


def _leave(folder: Path, observation: Observation) -> dict[str, str]:
    """Leave the window's own profile, and Evidently's report where it is asked for."""
    made = {**observation.reference.profile.made, "of": observation.rows.location}
    if observation.windows:
        profile = Profile(
            columns=observation.work.columns,
            counted=observation.tally.whole(),
            span=(observation.tally.first, observation.tally.last),
            made=made,
        )
        (folder / FILE).write_bytes(profile.to_bytes())
    if observation.config.check_drift.evidently_report and observation.windows:
        from model_ci.stages.check_drift import evidently_report, joint

        settings, table = observation.config.check_drift, observation.reference.table
        names = [c.name for c in observation.work.columns if c.role in ("feature", "target")]
        if table is not None:
            sides = (
                joint.sample(table.arrow(names), settings.report_rows, 0),
                joint.sample(observation.arrow(names), settings.report_rows, 0),
            )
            evidently_report.write(folder / "evidently.html", *sides, observation.work.columns)
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())}


def _verdict(section: "CheckDriftResult", config: CheckDrift) -> Verdict:
    match section["state"]:
        case "no drift":
            return Verdict.PASSED
        case "not judged" if config.inconclusive == "pass" and section["window"]["rows"]:
            return Verdict.DONE
        case _:
            return Verdict.FAILED
