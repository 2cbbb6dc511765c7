"""The columns of a look, judged by our own rules, over several windows where that is asked."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from model_ci.config import CheckDrift
from model_ci.errors import ConfigError
from model_ci.run import Run
from model_ci.stages.check_drift import account, earlier, verdict
from model_ci.stages.check_drift.observation import Observation
from model_ci.stages.check_drift.verdict import DriftRules, JudgedColumn

if TYPE_CHECKING:
    from model_ci.record_types import CheckDriftJoint


def judge(observation: Observation, run: Run) -> account.Conclusion:
    """Judge each window, and then the columns by how many windows they drifted in."""
    config = observation.config.check_drift
    rules = rules_of(config)
    weight = verdict.weights(observation.columns, observation.reference.importance)
    judged, seen = windows(observation, rules)
    before = (
        earlier.drifted(observation.config, run, observation.reference.described, observation.digest)
        if config.windows.of > 1 and config.windows.every is None and judged
        else []
    )
    columns, drifted = [], []
    for result in judged:
        name = result.column.name
        marks = [*(s.get(name) for s in before), *(s.get(name) for s in seen)][-rules.of :]
        enough = verdict.in_enough_windows(marks, rules)
        drifted += [result.column] if enough else []
        columns.append(verdict.as_record(result, weight.get(name), marks, drifted=enough))
    kinds = verdict.kinds(drifted, weight, rules)
    joint = _joint(observation) if judged and config.joint.rows else None
    kinds["joint"] = bool(joint and joint["drifted"])
    return account.conclude(observation, columns, kinds, joint, judged=bool(judged), seen=len(before) + len(seen))


def rules_of(config: CheckDrift) -> DriftRules:
    """Return when a column drifted, with the defaults of our own rules."""
    return DriftRules(
        numbers=config.numbers or "wasserstein",
        categories=config.categories or "jensen_shannon",
        threshold=config.threshold or 0.1,
        thresholds=config.thresholds,
        nulls=config.nulls,
        level=config.level,
        needed=config.windows.needed,
        of=config.windows.of,
        max_share=config.max_share,
        fail_on=config.fail_on,
    )


def windows(observation: Observation, rules: DriftRules) -> tuple[list[JudgedColumn], list[dict[str, bool]]]:
    """Return the newest window that can be judged, and which columns drifted in each of the last ones."""
    judged: list[JudgedColumn] = []
    seen: list[dict[str, bool]] = []
    for key, counted in observation.windows[-rules.of :] if observation.work.every else observation.windows:
        if counted.rows < observation.config.check_drift.min_rows:
            continue
        mixture = _mixture(observation.tally.seasons.get(key))
        window = verdict.JudgedWindow(
            rows=counted.rows,
            sketches=counted.sketches,
            reference=observation.reference.profile.reference(mixture),
            absent=observation.absent,
        )
        judged = verdict.judge(observation.columns, window, rules)
        seen.append({j.column.name: j.drifted for j in judged})
    return judged, seen


def _mixture(seasons: Mapping[int, int] | None) -> dict[int, float] | None:
    total = sum(seasons.values()) if seasons else 0
    return {season: rows / total for season, rows in (seasons or {}).items()} if total else None


def _joint(observation: Observation) -> "CheckDriftJoint":
    from model_ci.stages.check_drift import joint

    settings, table = observation.config.check_drift.joint, observation.reference.table
    columns = [c for c in observation.work.columns if c.role == "feature"]
    if table is None or not columns:
        raise ConfigError("check-drift.joint: there is no column to compare")
    names = [c.name for c in columns]
    sides = [
        joint.sample(table.arrow(names), settings.rows, settings.seed),
        joint.sample(observation.arrow(names), settings.rows, settings.seed),
    ]
    separation = joint.tell_apart(sides[0], sides[1], columns, settings.seed)
    level = observation.config.check_drift.level
    return {
        "auc": separation.auc,
        "p_value": separation.p_value,
        "min_auc": settings.min_auc,
        "rows": list(separation.rows),
        "drifted": separation.p_value <= level and separation.auc >= settings.min_auc,
    }
