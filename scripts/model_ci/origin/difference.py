"""What a model was made of, and what of it changed."""

import json
from typing import TYPE_CHECKING, Final

from model_ci.run import Run

if TYPE_CHECKING:
    from model_ci.record_types import EvaluateChanged
    from model_ci.registry import Version
    from model_ci.types import JSON, JSONObject

TAG: Final = "model_ci.origin"  # of the registered version


def of(run: Run) -> "dict[str, JSON]":
    """Return what the run's model was made of, by name: code, data and parameters; a later model is told from it."""
    trained, code = run.require("train", wanted_by="evaluate"), run.record["code"]
    data = trained["data"]
    return {
        "code": f"{code['commit'] or 'no commit'}{' with uncommitted changes' if code['dirty'] else ''}",
        "trained by": trained["how"],
        "data": data["location"],
        "data version": data["sha256"][:16],
        "data rows": data["rows"],
        "seed": trained["seed"],
        **{f"parameter {name}": value for name, value in trained["parameters"].items()},
    }


def changed(mine: "JSONObject", champion: "Version") -> "list[EvaluateChanged] | None":
    """Return in what the two were made differently; None when nobody wrote down what the champion was made of."""
    try:
        theirs = json.loads(champion.tags[TAG])
    except (KeyError, ValueError):
        return None
    names = [*mine, *(name for name in theirs if name not in mine)]
    pairs = {name: (theirs.get(name), mine.get(name)) for name in names}
    return [
        {"what": name, "champion": before, "challenger": now} for name, (before, now) in pairs.items() if before != now
    ]
