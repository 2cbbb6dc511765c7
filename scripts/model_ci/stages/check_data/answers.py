"""The target's values: whether there is anything to learn, and whether it fits the task."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from model_ci.data.finding import Finding, such_as

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from model_ci.types import Label

_MANY: Final = 1_000


class Answers:
    """Collects the target's different values, batch by batch; not more than are needed to know that they are many."""

    def __init__(self, target: str, task: str, kind: str) -> None:
        self._target, self._task, self._kind = target, task, kind
        self._train: set[Label] = set()
        self._holdout: set[Label] = set()

    def add(self, batch: "pl.DataFrame", held: "npt.NDArray[np.bool_]") -> None:
        """Take the labelled rows of one batch, and which of them are held out."""
        import polars as pl

        for values, side in ((self._train, ~held), (self._holdout, held)):
            if len(values) <= _MANY:
                values |= set(batch[self._target].filter(pl.Series(side)).unique())

    def findings(self) -> list[Finding]:
        """Tell what is wrong with the target."""
        both = self._train | self._holdout
        if self._task == "regression" and self._kind not in ("integer", "number"):
            return [self._finding(f"holds {self._kind}, but model.task is regression; name a column of numbers")]
        if len(both) < 2:
            return [self._finding(f"is the same in every row{such_as(list(both))}; there is nothing to learn")]
        if self._task == "binary" and len(both) > 2:
            count = f"more than {_MANY}" if len(both) > _MANY else len(both)
            return [
                self._finding(
                    f"has {count} values{such_as(sorted(both)[:3])}, but model.task is binary; make it two, or the task multiclass"
                )
            ]
        if len(self._train) < 2:
            return [
                self._finding(
                    f"is the same in every training row{such_as(list(self._train))}; widen data.window, or change data.holdout"
                )
            ]
        return [] if self._task == "regression" else [*self._of_holdout()]

    def _of_holdout(self) -> Iterator[Finding]:
        """Tell of a holdout on which a model cannot be told from one that knows fewer classes."""
        if len(self._holdout) < 2:
            yield self._finding(
                f"is the same in every held-out row{such_as(list(self._holdout))}, so a model that always answers that looks "
                "perfect; hold out more rows, or change data.holdout"
            )
        elif len(self._train) <= _MANY and (absent := sorted(self._train - self._holdout, key=str)):
            yield self._finding(
                f"{len(absent)} of {len(self._train)} classes are not among the held-out rows{such_as(absent)}, so nothing is "
                "measured of them; hold out more rows, or change data.holdout",
                level="warning",
            )
        if self._train and (new := sorted(self._holdout - self._train, key=str)) and len(self._holdout) > 1:
            yield self._finding(
                f"{len(new)} classes of the held-out rows are not among the training rows{such_as(new)}, so the model cannot "
                "know them; widen data.window, or change data.holdout",
                level="warning",
            )

    def _finding(self, what: str, level: str = "failure") -> Finding:
        return Finding(rule="target", where=self._target, what=what, level=level)
