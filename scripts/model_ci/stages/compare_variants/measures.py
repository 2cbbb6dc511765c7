"""What is compared, row by row: the errors of the predictions, how long they took, or a column of what came of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.production.truth import classes, named

if TYPE_CHECKING:
    import polars as pl

OF_ERRORS: Final = ("error", "absolute_error", "squared_error", "log_loss", "brier_score")
OF_REQUESTS: Final = ("duration_ms",)
_SMALLEST: Final = 1e-15


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric of a row, and which way it is better; `key` is where the configuration names it."""

    name: str
    greater_is_better: bool
    key: str

    @property
    def needs_truth(self) -> bool:
        """Whether it compares the prediction with the truth."""
        return self.name in OF_ERRORS

    @property
    def own(self) -> bool:
        """Whether it is a column of the user's."""
        return self.name not in (*OF_ERRORS, *OF_REQUESTS)


def resolve(name: str, better: str | None, key: str) -> Measure:
    """Find a metric; raise ConfigError for a column of which is not said which way it is better."""
    own = name not in (*OF_ERRORS, *OF_REQUESTS)
    if own and better is None:
        known = ", ".join((*OF_ERRORS, *OF_REQUESTS))
        raise ConfigError(
            f"{key}: {name!r} is none of {known}; if it is a column of the outcomes, say whether more of it is better "
            "with better: higher or lower"
        )
    if not own and better == "higher":
        raise ConfigError(f"{key}: less {name} is better; leave 'better' out")
    return Measure(name=name, greater_is_better=own and better == "higher", key=key)


def value(measure: Measure, frame: "pl.DataFrame", truth: str) -> "pl.Series":
    """Return the metric of each row, null where there is none yet.

    Raises ConfigError when the rows lack what it needs.
    """
    import polars as pl

    if measure.name in ("log_loss", "brier_score"):
        return _of_probabilities(measure, frame, truth)
    if measure.name == "error":
        return (named(frame["_prediction"]) != named(frame[truth])).cast(pl.Float64)
    column = "_duration_ms" if measure.name == "duration_ms" else measure.name
    if measure.name in ("absolute_error", "squared_error"):
        prediction, answer = (_number(frame, name, measure) for name in ("_prediction", truth))
        error = (prediction - answer).abs()
        return error if measure.name == "absolute_error" else error**2
    return _number(frame, column, measure)


def _number(frame: "pl.DataFrame", column: str, measure: Measure) -> "pl.Series":
    import polars as pl

    if column not in frame.columns:
        there = ", ".join(name for name in frame.columns if not name.startswith("_"))
        raise ConfigError(f"{measure.key}: no column {column!r} in the rows; there are {there}")
    if not (frame[column].dtype.is_numeric() or frame[column].dtype == pl.Boolean):
        raise ConfigError(f"{measure.key}: column {column!r} holds {frame[column].dtype}, no numbers; name another")
    return frame[column].cast(pl.Float64)


def _of_probabilities(measure: Measure, frame: "pl.DataFrame", truth: str) -> "pl.Series":
    import polars as pl

    columns = [name for name in frame.columns if name.startswith("_probability_")]
    known = _classes(measure, frame, truth, len(columns))
    if measure.name == "brier_score" and len(known) != 2:
        raise ConfigError(f"{measure.key}: brier_score is of two classes, there are {len(known)}; use log_loss")
    answer = named(frame[truth])
    if measure.name == "brier_score":
        return (frame[columns[1]] - (answer == known[1]).cast(pl.Float64)) ** 2
    chosen = pl.coalesce(
        pl.when(answer == name).then(pl.col(column)) for name, column in zip(known, columns, strict=True)
    )
    return frame.select(-chosen.clip(_SMALLEST, 1).log()).to_series()


def _classes(measure: Measure, frame: "pl.DataFrame", truth: str, many: int) -> Sequence[str]:
    if not many:
        raise ConfigError(f"{measure.key}: the log has no probabilities; compare error instead")
    return classes(frame, truth, many, measure.key)
