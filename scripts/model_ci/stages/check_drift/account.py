"""What was judged, told: the state, and why in a sentence."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

from model_ci.stages.check_drift import verdict
from model_ci.stages.check_drift.observation import Observation

if TYPE_CHECKING:
    from model_ci.record_types import CheckDriftColumn, CheckDriftDrift, CheckDriftJoint, CheckDriftWindows


class Conclusion(TypedDict):
    """What a section holds of the verdict."""

    state: str
    why: str
    drift: "CheckDriftDrift"
    share: float
    columns: "Sequence[CheckDriftColumn]"
    joint: "CheckDriftJoint | None"
    windows: "CheckDriftWindows"


def conclude(  # noqa: PLR0913 - what a section is made of
    observation: Observation,
    columns: "list[CheckDriftColumn]",
    kinds: Mapping[str, bool],
    joint: "CheckDriftJoint | None",
    *,
    judged: bool,
    seen: int,
) -> Conclusion:
    """Return what a section holds of the verdict; `seen` is how many windows were judged."""
    config = observation.config.check_drift
    columns.sort(key=lambda c: (not c["drifted"], not c["drifted_now"], -(c["importance"] or 0), c["name"]))
    for column in columns[verdict.DRAWN_COLUMNS :]:
        column["distribution"] = None
    failing = [kind for kind in config.fail_on if kinds.get(kind)]
    enough = seen >= config.windows.needed
    state = (
        "broken"
        if observation.broken
        else "drift"
        if failing
        else "not judged"
        if not judged or not enough
        else "no drift"
    )
    share = sum(c["importance"] or 0.0 for c in columns if c["drifted"] and c["role"] == "feature")
    return {
        "state": state,
        "why": _why(observation, state, failing, columns, share, seen),
        "drift": {
            "data": kinds.get("data", False),
            "prediction": kinds.get("prediction", False),
            "label": kinds.get("label", False),
            "joint": kinds.get("joint", False),
        },
        "share": round(share, 6),
        "columns": columns,
        "joint": joint,
        "windows": {"seen": seen, "needed": config.windows.needed, "of": config.windows.of},
    }


def _why(  # noqa: PLR0917, PLR0913 - the words need it all
    observation: Observation,
    state: str,
    failing: Sequence[str],
    columns: "Sequence[CheckDriftColumn]",
    share: float,
    seen: int,
) -> str:
    config = observation.config.check_drift
    moved = [c["name"] for c in columns if c["drifted"]]
    match state:
        case "broken":
            return "; ".join(f"{finding.where}: {finding.what}" for finding in observation.broken)
        case "not judged":
            rows_now = max((counted.rows for _, counted in observation.windows), default=0)
            if rows_now < config.min_rows:
                return f"{_number(rows_now, 'row')}, and {config.min_rows} are needed to judge"
            return f"{_number(seen, 'window')} so far, and {config.windows.needed} are needed to judge"
        case "drift":
            which = ", ".join(moved[:5]) + (f" and {len(moved) - 5} more" if len(moved) > 5 else "")
            carried = f", which carry {share:.0%} of the model's weight," if "data" in failing else ""
            return f"drift of {' and '.join(failing)}: {which or 'the columns together'}{carried} moved"
    if moved:
        return f"{', '.join(moved[:5])} drifted, but carry only {share:.0%} of the model's weight"
    return f"{_number(len(columns), 'column')} {'is' if len(columns) == 1 else 'are'} as before"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"
