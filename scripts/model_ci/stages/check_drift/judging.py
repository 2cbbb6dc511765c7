"""The columns of a look, judged by our own rules, over several windows where that is asked."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from model_ci.config import CheckDrift
from model_ci.errors import ConfigError
from model_ci.run import Run
from model_ci.stages.check_drift import account, earlier, verdict
from model_ci.stages.check_drift.look import Look
from model_ci.stages.check_drift.verdict import Judged, Rules

if TYPE_CHECKING:
    from model_ci.record_types import CheckDriftJoint


def judge(looked: Look, run: Run) -> account.Conclusion:
    """Judge each window, and then the columns by how many windows they drifted in."""
    config = looked.config.check_drift
    rules = rules_of(config)
    weight = verdict.weights(looked.columns, looked.reference.importance)
    judged, seen = windows(looked, rules)
    before = (
        earlier.drifted(looked.config, run, looked.reference.described, looked.digest)
        if config.windows.of > 1 and config.windows.every is None and judged
        else []
    )
    columns, drifted = [], []
    for found in judged:
        name = found.column.name
        marks = [*(s.get(name) for s in before), *(s.get(name) for s in seen)][-rules.of :]
        enough = verdict.in_enough_windows(marks, rules)
        drifted += [found.column] if enough else []
        columns.append(verdict.as_record(found, weight.get(name), marks, drifted=enough))
    kinds = verdict.kinds(drifted, weight, rules)
    joint = _joint(looked) if judged and config.joint.rows else None
    kinds["joint"] = bool(joint and joint["drifted"])
    return account.told(looked, columns, kinds, joint, judged=bool(judged), seen=len(before) + len(seen))


def rules_of(config: CheckDrift) -> Rules:
    """Return when a column drifted, with the defaults of our own rules."""
    return Rules(
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


def windows(looked: Look, rules: Rules) -> tuple[list[Judged], list[dict[str, bool]]]:
    """Return the newest window that can be judged, and which columns drifted in each of the last ones."""
    judged: list[Judged] = []
    seen: list[dict[str, bool]] = []
    for key, counted in looked.windows[-rules.of :] if looked.work.every else looked.windows:
        if counted.rows < looked.config.check_drift.min_rows:
            continue
        mixture = _mixture(looked.tally.seasons.get(key))
        window = verdict.Window(
            rows=counted.rows,
            sketches=counted.sketches,
            reference=looked.reference.profile.reference(mixture),
            absent=looked.absent,
        )
        judged = verdict.judge(looked.columns, window, rules)
        seen.append({j.column.name: j.drifted for j in judged})
    return judged, seen


def _mixture(seasons: Mapping[int, int] | None) -> dict[int, float] | None:
    total = sum(seasons.values()) if seasons else 0
    return {season: rows / total for season, rows in (seasons or {}).items()} if total else None


def _joint(looked: Look) -> "CheckDriftJoint":
    from model_ci.stages.check_drift import joint

    wanted, table = looked.config.check_drift.joint, looked.reference.table
    columns = [c for c in looked.work.columns if c.role == "feature"]
    if table is None or not columns:
        raise ConfigError("check-drift.joint: there is no column to compare")
    names = [c.name for c in columns]
    sides = [
        joint.sample(table.arrow(names), wanted.rows, wanted.seed),
        joint.sample(looked.arrow(names), wanted.rows, wanted.seed),
    ]
    told = joint.tell_apart(sides[0], sides[1], columns, wanted.seed)
    level = looked.config.check_drift.level
    return {
        "auc": told.auc,
        "p_value": told.p_value,
        "min_auc": wanted.min_auc,
        "rows": list(told.rows),
        "drifted": told.p_value <= level and told.auc >= wanted.min_auc,
    }
