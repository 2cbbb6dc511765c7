"""The probe: held-out rows that are saved with a model, and its answers, by which it is known again.

The rows are spread over the holdout, over the classes that are true and over those that are predicted, so that two models
that differ seldom agree on all of them.
"""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.errors import ConfigError, first_line
from model_ci.frozen import dataclass
from model_ci.model.answers import Answers
from model_ci.serving import classes as naming
from model_ci.types import Label

if TYPE_CHECKING:
    import pandas as pd

FOLDER: Final = "probe"  # of the model's folder
ROWS: Final = 64
SAME: Final = 1e-9  # sums of other threads, or another processor, differ by less
_ROWS_FILE, _ANSWERS_FILE = "rows.parquet", "answers.json"
_LIBRARIES: Final = ("numpy", "pandas", "scikit-learn", "scipy")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Rows with a model's answers; `classes` are in the order of its probabilities, `environment` made it answer so."""

    rows: "pd.DataFrame"
    answers: Answers
    classes: Sequence[Label]
    environment: Mapping[str, str]

    def difference(self, other: Answers) -> str | None:
        """Return how other answers to the same rows differ, in words; None where they are the same."""
        return difference(self.answers, other)

    def upgrades(self) -> str:
        """Return which libraries changed since, in words; empty where none did."""
        now = environment(self.environment)
        changed = [
            f"{name} {old} -> {now.get(name, 'absent')}"
            for name, old in self.environment.items()
            if now.get(name) != old
        ]
        return ", ".join(changed)


def spread(groups: Sequence[object], count: int) -> list[int]:
    """Return at most `count` positions, evenly over the rows of each group, the small groups whole."""
    places: dict[object, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    left, chosen = count, []
    for done, group in enumerate(sorted(places.values(), key=len)):
        share = min(len(group), max(left // (len(places) - done), 1))
        if left < 1:
            break
        chosen += [group[i * len(group) // share] for i in range(share)]
        left -= share
    return sorted(chosen)


def write(folder: Path, rows: "pd.DataFrame", answers: Answers, classes: Sequence[Label]) -> str:
    """Save a probe in a model's folder; return the hash of its answers."""
    place = folder / FOLDER
    place.mkdir()
    rows.to_parquet(place / _ROWS_FILE, index=False)
    content = {
        "classes": [_plain(c) for c in classes],
        "labels": [_plain(label) for label in answers.labels],
        "probabilities": None if answers.probabilities is None else answers.probabilities.tolist(),
        "environment": environment(_requirements(folder)),
    }
    (place / _ANSWERS_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return sha256(answers)


def read(folder: Path) -> Probe | None:
    """Read the probe of a model's folder, None where it has none; raise ConfigError for one that cannot be read."""
    import numpy as np
    import pandas as pd

    place = folder / FOLDER
    if not place.is_dir():
        return None
    try:
        content = json.loads((place / _ANSWERS_FILE).read_bytes())
        chances = content["probabilities"]
        answers = Answers(
            labels=np.array(content["labels"]),
            probabilities=None if chances is None else np.array(chances, dtype=float),
        )
        rows = pd.read_parquet(place / _ROWS_FILE)
        return Probe(rows=rows, answers=answers, classes=content["classes"], environment=content["environment"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{place}: is not a probe: {first_line(error)}; register the model again") from None


def difference(one: Answers, other: Answers, tolerance: float = SAME) -> str | None:
    """Return how two answers to the same rows differ, in words; None where labels are the same and numbers but for rounding.

    `tolerance` is absolute for numbers up to 1, and a share of larger ones.
    """
    import numpy as np

    if one.labels.shape != other.labels.shape or _shape(one) != _shape(other):
        return "the answers have another shape"
    numbers = one.probabilities is None and one.labels.dtype.kind == "f"
    pairs = [(one.labels, other.labels)] if numbers else [(one.probabilities, other.probabilities)]
    rows = np.zeros(len(one.labels), dtype=bool)
    if not numbers:
        rows |= np.array(
            [naming.name(a) != naming.name(b) for a, b in zip(one.labels, other.labels, strict=True)], bool
        )
    largest = 0.0
    for mine, theirs in pairs:
        if mine is not None and theirs is not None and len(mine):
            gap = np.abs(mine - np.asarray(theirs, dtype=float)) / np.maximum(1.0, np.abs(mine))
            gap = np.where(np.isnan(mine) & np.isnan(theirs), 0.0, np.where(np.isnan(gap), np.inf, gap))
            rows |= (gap > tolerance).reshape(len(rows), -1).any(axis=1)
            largest = float(gap.max())
    if not rows.any():
        return None
    by = f", by up to {largest:.3g}" if largest > tolerance else " in their labels"
    return f"{int(rows.sum())} of {len(rows)} rows differ{by}"


def sha256(answers: Answers) -> str:
    """Return a hash of labels, and of numbers to 12 significant digits: equal for equal models, whatever their files."""
    labels = (f"{a:.12g}" if isinstance(a, float) else str(naming.name(a)) for a in answers.labels.tolist())
    chances = () if answers.probabilities is None else (f"{p:.12g}" for p in answers.probabilities.ravel().tolist())
    return hashlib.sha256("\n".join((*labels, "", *chances)).encode()).hexdigest()


def environment(names: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Return the installed versions of Python and of the named distributions."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions.setdefault(name, version(name))
        except PackageNotFoundError:
            continue
    return versions


def _requirements(folder: Path) -> list[str]:
    """Name the distributions that a model was saved with."""
    import re

    file = folder / "requirements.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    named = [re.split(r"[\s\[<>=!~;@]", line.strip(), maxsplit=1)[0] for line in lines]
    return [*dict.fromkeys([*_LIBRARIES, *(name for name in named if name and not name.startswith(("#", "-")))])]


def _shape(answers: Answers) -> tuple[int, ...] | None:
    return None if answers.probabilities is None else answers.probabilities.shape


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, (bool, int, float, str)) else str(value)
