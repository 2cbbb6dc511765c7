"""The champion as a start: its estimator, which rows it has learnt from, and how it fares on the others."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_ci import model, registry
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.gates.outputs import Outputs
from model_ci.judgement.comparable import unrecognizable
from model_ci.origin import training_rows
from model_ci.origin.training_rows import TrainingRows
from model_ci.run import Run
from model_ci.stages.train import selection
from model_ci.stages.train.continuing import CannotContinueError
from model_ci.stages.train.selection import Signal
from model_ci.terms import WindowKind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from sklearn.base import BaseEstimator

    from model_ci.data.table import Table
    from model_ci.types import Series, Settings


@dataclass(frozen=True, kw_only=True)
class Predecessor:
    """The champion, not loaded yet; `folder` is its model folder, and `learnt` says from which rows, None where nobody knows.

    `rows` recognizes them. `unfit` says why no model may go on from it, and what to do; None where one may.
    """

    version: str
    run_id: str
    folder: Path
    learnt: "Settings | None"
    rows: TrainingRows | None
    unfit: str | None

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"version {self.version}"

    def outputs(self, config: Config, rows: "pd.DataFrame") -> Outputs:
        """Ask it about rows, in a process of its own with its own code."""
        target, positive = config.data.target, config.model.positive
        with model.asked(self.folder, positive, self.name) as asked:
            answers = asked.call("answers", rows.drop(columns=target))
            _, classes = asked.call("described")
        return model.outputs(answers, rows[target], classes, config.model.task, positive)

    def estimator(self, config: Config) -> "BaseEstimator":
        """Load its estimator; raise CannotContinueError where the user's code is another than it was saved with."""
        try:
            return model.reopened(self.folder, config.model.positive, self.name, config.root).model
        except ConfigError as error:
            raise CannotContinueError(*error.problems) from None

    def unseen(self, moments: "Series | None") -> int | None:
        """Return the first of the rows, which are in the order of time, that it has not learnt from; None if unknown."""
        import pandas as pd

        if self.learnt is None or moments is None or self.learnt.get("last") is None:
            return None
        held, newest = self.learnt.get("boundary"), self.learnt["last"]
        timed = pd.api.types.is_datetime64_any_dtype(moments)
        mark: Any = newest if held is None else held
        mark = pd.Timestamp(mark) if timed else mark
        return int(moments.searchsorted(mark, side="right" if held is None else "left"))


def needed(config: Config) -> bool:
    """Whether training depends on the champion."""
    window = config.data.window
    return bool(
        config.values["train"]["mode"] != "scratch" or (window.kind == WindowKind.DYNAMIC and window.signal == "loss")
    )


@contextmanager
def opened(config: Config, run: Run, data: "Table") -> Iterator[Predecessor | None]:
    """Load the champion for as long as the block lasts; None where it is not needed, or there is none."""
    if not needed(config):
        yield None
        return
    with (
        registry.open_registry(config, config.root, in_ci=run.in_ci) as store,
        tempfile.TemporaryDirectory() as scratch,
    ):
        champion = store.champion()
        if champion is None:
            yield None
            return
        folder = store.download(champion, Path(scratch) / "champion")
        kept = store.attachment(champion, training_rows.FOLDER, Path(scratch) / training_rows.FOLDER)
        rows = TrainingRows.read(kept, f"version {champion.number}") if kept else None
        yield Predecessor(
            version=champion.number,
            run_id=champion.run_id,
            folder=folder,
            learnt=training_rows.read(champion.tags),
            rows=rows,
            unfit=_unfit(f"champion version {champion.number}", rows, champion.tags, data),
        )


def _unfit(name: str, rows: TrainingRows | None, tags: Mapping[str, str], data: "Table") -> str | None:
    """Return why a model that goes on from the champion could not be judged on the held-out rows."""
    held = len(data.holdout)
    if rows is None:
        return (
            f"{name} has no record of its training rows, so it may have learnt from rows that are held out; "
            "train from scratch once, then the next model can go on from that"
        )
    if lacking := rows.lacking(data.holdout):
        return (
            f"the training rows of {name} are recognized by {', '.join(lacking)}, which the data no longer has; "
            "add the column, or train from scratch"
        )
    if unrecognizable(rows, tags, data):
        return (
            f"none of the rows is recognized as one that {name} learnt from, although held-out rows are as old as those; "
            "declare data.holdout.key, and train from scratch"
        )
    seen = int(rows.contain(data.holdout).sum())
    # A few may be false positives of the filter. They are left out of the judgement, whatever they are.
    if not rows.beyond_chance(seen, held):
        return None
    return (
        f"{name} has learnt from {seen:,} of the {held:,} held-out rows, so a model that goes on from it could not be judged "
        "on them; hold out newer rows, or train from scratch"
    )


def signal(config: Config, data: "Table", champion: Predecessor | None) -> Signal | None:
    """Return what tells of a change; None where the window is not dynamic."""
    window = config.data.window
    if window.kind != WindowKind.DYNAMIC:
        return None
    if window.signal == "features":
        return selection.of_features(data.train, list(data.features))
    if window.signal == "target":
        return selection.of_target(config.data, data.train, None)
    if champion is None:
        return selection.of_target(config.data, data.train, "there is no champion whose loss could tell")
    first = champion.unseen(data.train[str(config.data.time_column)])
    if first is None:
        return selection.of_target(config.data, data.train, "which rows the champion has learnt from is not known")
    if first >= len(data.train):
        return selection.of_target(config.data, data.train, "the champion has learnt from all these rows")
    return Signal(kind="loss", values={"loss": _losses(config, champion, data.train.iloc[first:])}, first=first)


def _losses(config: Config, champion: Predecessor, rows: "pd.DataFrame") -> "npt.NDArray[np.float64]":
    """Return the loss of each row: of the logarithm, of a wrong label where there are no probabilities, or absolute."""
    import numpy as np

    answers = champion.outputs(config, rows)
    if config.model.task == "regression":
        return np.asarray(np.abs(answers.truth - answers.labels))
    if answers.probabilities is None:
        return np.asarray(answers.truth != answers.labels, dtype=np.float64)
    known = answers.truth < answers.probabilities.shape[1]
    chosen = answers.probabilities[np.arange(len(rows)), np.where(known, answers.truth, 0)] * known
    return np.asarray(-np.log(np.clip(chosen, 1e-6, 1.0)))
