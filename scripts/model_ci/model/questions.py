"""What a loaded model is asked, in the process that has loaded it."""

import statistics
import time
from typing import TYPE_CHECKING, Final

from model_ci.errors import UserCodeError
from model_ci.model import probe
from model_ci.model.answers import Answers
from model_ci.model.predictor import Predictor
from model_ci.types import Label

if TYPE_CHECKING:
    import pandas as pd

_LATENCY_CALLS: Final = 30
_ALONE: Final = 16  # rows that are asked one by one
_BATCHED: Final = 256  # rows that are asked in small batches
_BATCH: Final = 8
_SAME_IN_BATCH: Final = 1e-6  # sums of another length differ by less, of single precision as well


def described(predictor: Predictor) -> tuple[list[str], list[Label]]:
    """Return the columns that the model takes, and its classes."""
    return list(predictor.columns), list(predictor.classes)


def answers(predictor: Predictor, rows: "pd.DataFrame") -> Answers:
    """Answer rows."""
    return predictor.answers(rows)


def repeated(predictor: Predictor, rows: "pd.DataFrame", name: str) -> Answers:
    """Answer rows; raise UserCodeError when the model answers otherwise at the second time."""
    first, second = predictor.answers(rows), predictor.answers(rows)
    if changed := probe.difference(first, second):
        raise UserCodeError(
            f"{name}: the model answers the same rows differently when it is asked again: {changed}; "
            "remove what is random or counts from predict and predict_proba"
        )
    return first


def latency_ms(predictor: Predictor, rows: "pd.DataFrame") -> float:
    """Return the median time of one prediction of one row, in milliseconds, after one to warm up."""
    seconds = []
    for i in range(_LATENCY_CALLS + 1):
        row = rows.iloc[[i % len(rows)]]
        begin = time.perf_counter()
        predictor.predict(row)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:]) * 1000


def batch_dependence(predictor: Predictor, rows: "pd.DataFrame", together: Answers) -> str | None:
    """Return how the answers depend on the other rows that are asked at the same time, None where they do not.

    Some rows are asked alone and more in small batches, in another order; each must be answered as `together`, among all
    the rows.
    """
    labels = together.labels.tolist() if predictor.classes else [None] * len(rows)
    chosen = probe.spread(labels, _BATCHED)[::-1]
    batches = [[row] for row in chosen[:: max(len(chosen) // _ALONE, 1)][:_ALONE]]
    batches += [chosen[i :: -(-len(chosen) // _BATCH)] for i in range(-(-len(chosen) // _BATCH))]
    for batch in batches:
        asked = predictor.answers(rows.iloc[batch])
        if changed := probe.difference(together.drawn(batch), asked, _SAME_IN_BATCH):
            how = "alone" if len(batch) == 1 else f"in a batch of {len(batch)}"
            return f"asked {how} and among {len(rows)} rows, {changed}{_culprits(predictor, rows, batch[0], together)}"
    return None


def _culprits(predictor: Predictor, rows: "pd.DataFrame", row: int, together: Answers) -> str:
    """Name the columns whose values in the other rows change the answer to one row."""
    names = []
    for name in predictor.columns:
        changed = rows.copy()
        changed[name] = rows[name].iloc[[row] * len(rows)].to_numpy()
        changed[name] = changed[name].astype(rows[name].dtype)
        alike = predictor.answers(changed).drawn([row])
        if probe.difference(together.drawn([row]), alike, _SAME_IN_BATCH):
            names.append(str(name))
    return f"; what other rows hold in {', '.join(names)} changes the answer" if names else ""
