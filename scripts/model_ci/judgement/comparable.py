"""Which held-out rows two models can be compared on: those that neither has learnt from."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.gates.metrics import MEASURED, Metric
from model_ci.gates.outputs import Scores
from model_ci.judgement.blocks import blocks
from model_ci.judgement.sides import Side, side
from model_ci.origin import training_rows
from model_ci.origin.training_rows import TrainingRows
from model_ci.registry.integrity import differences
from model_ci.run import Run

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from model_ci.data.table import Table
    from model_ci.registry import Registry, Version
    from model_ci.types import Settings

_SAMPLE_ROWS: Final = 20_000


@dataclass(frozen=True, kw_only=True)
class Comparable:
    """The held-out rows to judge on, by their positions, and what kept the others out.

    `problem` says why the challenger is judged alone although there is a champion.
    """

    rows: "npt.NDArray[np.intp]"
    challenger_learnt: int
    champion_learnt: int | None
    false_positives: float
    problem: str | None

    def as_record(self) -> dict[str, object]:
        """Return it as it stands in a run's record."""
        return {
            "challenger_learnt": self.challenger_learnt,
            "champion_learnt": self.champion_learnt,
            "false_positives": self.false_positives,
            "problem": self.problem,
        }


def comparable(config: Config, run: Run, data: "Table", store: "Registry", champion: "Version | None") -> Comparable:
    """Find the held-out rows that neither model has learnt from.

    Where too few are left, or nobody knows what the champion has learnt from, the challenger's rows are returned, and
    the reason.
    """
    import numpy as np

    mine = _challenger(run)
    held = data.holdout
    seen = mine.contain(held)
    alone = np.flatnonzero(~seen)
    if champion is None:
        return Comparable(
            rows=alone,
            challenger_learnt=int(seen.sum()),
            champion_learnt=None,
            false_positives=mine.false_positives,
            problem=None,
        )
    theirs, problem = _champion(store, champion, data)
    learnt = theirs.contain(held) if theirs and not problem else None
    both = alone if learnt is None else np.flatnonzero(~(seen | learnt))
    if learnt is not None:
        problem = _too_few(config, held, both, int(learnt.sum()), champion)
    known = 1 - (1 - mine.false_positives) * (1 - (theirs.false_positives if theirs else 0.0))
    return Comparable(
        rows=alone if problem else both,
        challenger_learnt=int(seen.sum()),
        champion_learnt=None if learnt is None else int(learnt.sum()),
        false_positives=known,
        problem=problem,
    )


def restricted(named: Mapping[str, Metric], asked: Side, rows: "npt.NDArray[np.intp]") -> Side:
    """Return a model's answers on some of the rows that it was asked about, scored."""
    if asked.outputs is None or len(rows) == len(asked.outputs.truth):
        return asked
    measured = {name: value for name, value in asked.scores.values.items() if name in MEASURED}
    return side(named, asked.outputs.drawn(rows), measured)


def uncompared(champion: Side, problem: str) -> Side:
    """Return a champion that is not compared with on any row; one that cannot be asked at all still fails the gates."""
    if champion.outputs is None:
        return champion
    return replace(champion, scores=replace(champion.scores, incomparable=problem), outputs=None)


def unread(problem: str) -> Side:
    """Return a champion that nobody could read, so that every comparison with it is inconclusive."""
    return Side(scores=Scores(values={}, reasons={}, incomparable=problem), outputs=None)


def _challenger(run: Run) -> TrainingRows:
    recorded = run.require("train", wanted_by="evaluate").get("training_rows")
    if recorded is None:
        raise ConfigError(
            f"evaluate: run {run.id} has no record of its training rows, for another version of model-ci made it; "
            "run `model-ci train` again"
        )
    folder = run.folder / recorded["folder"]
    if altered := list(differences(folder, recorded["files"])):
        raise ConfigError(*(f"{folder}: {text}; run `model-ci train` again" for text in altered))
    return TrainingRows.read(folder, f"run {run.id}")


def _champion(store: "Registry", champion: "Version", data: "Table") -> tuple[TrainingRows | None, str | None]:
    """Return the rows that the champion has learnt from, and why they cannot be told from others; one of them is None."""
    name = f"champion version {champion.number}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = store.attachment(champion, training_rows.FOLDER, Path(scratch) / training_rows.FOLDER)
        rows = TrainingRows.read(folder, name) if folder else None
    if rows is None:
        return None, (
            f"{name} has no record of its training rows, so it may have learnt from rows that are held out; register one "
            "model with this version of model-ci as champion, for example by --set evaluate.uncertainty.inconclusive=pass"
        )
    if lacking := rows.lacking(data.holdout):
        return rows, (
            f"the training rows of {name} are recognized by {', '.join(lacking)}, which the data no longer has; "
            "add the column, or declare data.holdout.key"
        )
    if unrecognizable(rows, champion.tags, data):
        return rows, (
            f"none of the rows is recognized as one that {name} learnt from, although held-out rows are as old as those; "
            "the values may be written otherwise than before: declare data.holdout.key, which stays the same"
        )
    return rows, None


def unrecognizable(rows: TrainingRows, tags: Mapping[str, str], data: "Table") -> bool:
    """Whether the rows are probably the champion's, but with other values: rounded, converted, or in another zone."""
    if rows.declared:
        return False
    sample = data.train.iloc[:: -(-len(data.train) // _SAMPLE_ROWS)]
    kept = sum(layer.rows for layer in rows.layers)
    expected = min(kept / len(data.train), 1) * len(sample)
    if not rows.beyond_chance(int(expected), len(sample)):
        return False  # the champion learnt from so few rows that none need be among these
    if any(rows.beyond_chance(int(rows.contain(part).sum()), len(part)) for part in (sample, data.holdout)):
        return False
    return not _newer(training_rows.read(tags) or {}, data.window)


def _newer(learnt: "Settings", window: "Settings") -> bool:
    """Whether every held-out row is newer than all that the champion learnt from, so that it cannot be among them."""
    oldest: Any = window.get("first") if window.get("boundary") is None else window["boundary"]
    border: Any = learnt.get("boundary")
    newest: Any = learnt.get("last") if border is None else border
    if oldest is None or type(oldest) is not type(newest):
        return False
    return bool(oldest > newest if border is None else oldest >= newest)


def _too_few(
    config: Config, held: "pd.DataFrame", both: "npt.NDArray[np.intp]", learnt: int, champion: "Version"
) -> str | None:
    """Return why the rows that are left do not suffice; None when they do."""
    if len(both) < config.evaluate.min_rows <= len(held):
        return (
            f"champion version {champion.number} has learnt from {learnt:,} of the {len(held):,} held-out rows, so only "
            f"{len(both):,} can be compared on, and {config.evaluate.min_rows:,} are needed; hold out rows that are newer "
            "than the champion, or the same rows as when it was trained"
        )
    if len(both) == len(held):
        return None
    try:
        blocks(config, held.iloc[both])
    except ConfigError as error:
        return f"of the rows that champion version {champion.number} has not learnt from, {error.problems[0]}"
    return None
