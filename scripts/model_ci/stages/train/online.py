"""Learning online: chunk after chunk in the order of time, each predicted before it is learnt from."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.stages.train.continuing import last

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from model_ci.types import Label

    Score = Callable[[BaseEstimator, pd.DataFrame], Mapping[str, float | None]]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Rows in the order of time, and what is asked of a model before it learns from some of them."""

    rows: "pd.DataFrame"
    features: "list[str]"
    target: str
    classes: "list[Label]"
    chunk_rows: int
    score: "Score"


def check(estimator: "BaseEstimator") -> None:
    """Raise ConfigError for an estimator that cannot learn in parts."""
    if not hasattr(last(estimator), "partial_fit"):
        raise ConfigError(
            f"train.mode: {type(last(estimator)).__name__} has no partial_fit; take one that has, such as SGDClassifier "
            "or MLPClassifier, or set train.mode: scratch or warm_start"
        )


def learn(estimator: "BaseEstimator", lesson: Lesson, *, fitted: bool) -> "tuple[BaseEstimator, list[dict[str, Any]]]":
    """Learn from every chunk; return the estimator and how well each chunk was predicted before (Dawid's prequential).

    The steps before the estimator are fitted on all rows of the first lesson, and then stay: on a first chunk, of a few
    days, they would scale a year by the weather of January.
    """
    chunks = []
    if not fitted and _has_steps(estimator):
        estimator[:-1].fit(lesson.rows[lesson.features], lesson.rows[lesson.target])
    for first in range(0, len(lesson.rows), lesson.chunk_rows):
        chunk = lesson.rows.iloc[first : first + lesson.chunk_rows]
        scores = dict(lesson.score(estimator, chunk)) if fitted else None
        chunks.append({"rows": len(chunk), "metrics": scores})
        _learn(estimator, chunk, lesson)
        fitted = True
    return estimator, chunks


def summary(chunks: "list[dict[str, Any]]") -> dict[str, float | None]:
    """Average each metric over the chunks that it could be computed on, by their rows."""
    scored = [(t["rows"], t["metrics"]) for t in chunks if t["metrics"]]
    averages: dict[str, float | None] = {}
    for name in dict.fromkeys(n for _, metrics in scored for n in metrics):
        known = [(rows, metrics[name]) for rows, metrics in scored if metrics.get(name) is not None]
        rows = sum(r for r, _ in known)
        averages[name] = sum(r * value for r, value in known) / rows if rows else None
    return averages


def _learn(estimator: "BaseEstimator", chunk: "pd.DataFrame", lesson: Lesson) -> None:
    rows = chunk[lesson.features]
    if _has_steps(estimator):
        rows = estimator[:-1].transform(rows)
    known = {"classes": lesson.classes} if lesson.classes else {}
    last(estimator).partial_fit(rows, chunk[lesson.target], **known)


def _has_steps(estimator: "BaseEstimator") -> bool:
    return hasattr(estimator, "steps") and len(estimator.steps) > 1
