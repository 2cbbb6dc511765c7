"""What a model was made of, and what of it changed."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from model_ci.frozen import dataclass
from model_ci.run import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_ci.record_types import EvaluateChanged
    from model_ci.registry import Version
    from model_ci.types import JSON, Settings

TAG: Final = "model_ci.origin"  # of the registered version
_LONGEST: Final = 120  # of a setting in the tag, which the registry bounds
# What the report names together, by how the names of the single things begin; the first that fits counts.
_GROUPS: Final = {
    "code": "code",
    "data.": "data settings",
    "data": "data",
    "parameter ": "parameters",
    "environment ": "environment",
    "": "training settings",
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the champion and the run's model were made of: what differs, what is the same, what of the two is not known."""

    changed: "Sequence[EvaluateChanged]"
    same: "Sequence[str]"
    unknown: "Sequence[str]"


def of(run: Run) -> "dict[str, JSON]":
    """Return what the run's model was made of, by name; what is not known is null. A later model is told from it."""
    trained, code = run.require("train", wanted_by="evaluate"), run.record["code"]
    data, method, environment = trained["data"], trained["method"], run.record["environment"]
    settings: Settings = run.record["config"]["values"]
    before = method["champion"]
    return {
        "code": _code(code["commit"], code["dirty"], code["diff_sha256"]),
        "data": data["location"],
        "data version": data["sha256"][:16],
        "data rows": data["rows"],
        "data rows trained on": data.get("train_rows"),
        "data first row": data.get("first"),
        "data last row": data.get("last"),
        "data boundary": data.get("boundary"),
        **dict(_leaves("data", {k: v for k, v in settings["data"].items() if k != "path"})),
        "trained by": trained["how"],
        "began from": method["used"] + (f" of version {before['version']}" if before else ""),
        "seed": trained["seed"],
        **dict(_leaves("train", {k: v for k, v in settings["train"].items() if k not in ("parameters", "seed")})),
        **{f"parameter {name}": value for name, value in trained["parameters"].items()},
        "environment Python": environment["python"],
        "environment packages": environment["packages_sha256"][:16],
    }


def compare(mine: "Mapping[str, JSON]", champion: "Version") -> Comparison | None:
    """Compare with what the champion was made of; None when nobody wrote that down."""
    try:
        theirs: Mapping[str, JSON] = json.loads(champion.tags[TAG])
    except (KeyError, ValueError):
        return None
    names = [*mine, *(name for name in theirs if name not in mine)]
    changed = [name for name in names if theirs.get(name) != mine.get(name) and not _unknown(name, mine, theirs)]
    unknown = _groups(name for name in names if _unknown(name, mine, theirs))
    differing = _groups(changed)
    return Comparison(
        changed=[{"what": name, "champion": theirs.get(name), "challenger": mine.get(name)} for name in changed],
        same=[group for group in _groups(names) if group not in (*differing, *unknown)],
        unknown=unknown,
    )


def _unknown(name: str, mine: "Mapping[str, JSON]", theirs: "Mapping[str, JSON]") -> bool:
    """Tell whether one of the two did not write it down; a parameter or setting that only one has is a difference."""
    if name == "code":
        return mine.get(name) is None or theirs.get(name) is None
    return name not in theirs and not name.startswith("parameter ")


def _groups(names: Iterator[str] | list[str]) -> list[str]:
    return list(dict.fromkeys(next(g for start, g in _GROUPS.items() if name.startswith(start)) for name in names))


def _code(commit: str | None, dirty: bool | None, diff: str | None) -> str | None:
    if commit is None:
        return None
    return f"{commit} with uncommitted changes {(diff or 'unknown')[:12]}" if dirty else commit


def _leaves(name: str, value: "JSON") -> "Iterator[tuple[str, JSON]]":
    """Yield each single setting below `name`, so that none is left out because nobody listed it."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
        return
    text = json.dumps(value, default=str)
    if len(text) > _LONGEST:
        yield name, f"sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    else:
        yield name, value
