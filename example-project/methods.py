"""Each kind of window and each way to train, month by month: how a model of the months before does on the next one.

By model-ci's own parts, on all rows before the month, without gates; a method that goes on from a champion goes on from
its own model of the month before. The table stands in README.md.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pandas as pd
from flights import linear, model
from months import NOT_FEATURES, auc, months
from year import table

from model_ci.config import Sample
from model_ci.stages.train import change, continuing, online, sample, warm

MAX_ITER: Final = 100
MIN_ROWS: Final = 1000
Method = Callable[[pd.DataFrame, Any, int], Any]  # rows before, the model of the month before, rows new to it -> model


def boosting() -> Any:
    return model.build(max_iter=MAX_ITER, learning_rate=0.05, max_leaf_nodes=15).set_params(boosting__random_state=0)


def sgd() -> Any:
    return linear.build(alpha=0.001).set_params(linear__random_state=0)


def fit(rows: pd.DataFrame, estimator: Any = None) -> Any:
    return (estimator or boosting()).fit(rows.drop(columns=NOT_FEATURES), rows.late)


def fixed(rows: pd.DataFrame, before: Any, new: int) -> Any:
    return fit(rows[rows.scheduled > rows.scheduled.max() - pd.Timedelta(days=90)])


def dynamic(rows: pd.DataFrame, before: Any, new: int) -> Any:
    """Since the last change of the loss of the first model, on rows that it has not learnt from."""
    if before is None:
        return fit(rows)
    frozen = fit(rows[rows.scheduled < "2013-04-01"])
    watched = rows[rows.scheduled >= "2013-04-01"]
    chances = frozen.predict_proba(watched.drop(columns=NOT_FEATURES))[:, 1]
    loss = -np.log(np.where(watched.late == 1, chances, 1 - chances))
    days = (watched.scheduled - watched.scheduled.iloc[0].normalize()).dt.days.to_numpy()
    changes = change.find({"loss": loss}, days, 0.95)
    first = min(len(rows) - len(watched) + changes[-1].row, len(rows) - MIN_ROWS) if changes else 0
    print(
        f"    dynamic: {len(rows) - first} of {len(rows)} rows, since {rows.scheduled.iloc[first].date()}",
        file=sys.stderr,
    )
    return fit(rows.iloc[first:])


def sampled(by: str, half_life: str | None = None) -> Method:
    wanted = Sample(rows=5000, by=by, half_life=half_life, max_distance=None)
    return lambda rows, before, new: fit(rows.iloc[sample.draw(rows, wanted, "late", "scheduled", 0).index])


def warm_start(rows: pd.DataFrame, before: Any, new: int) -> Any:
    if before is None:
        return fit(rows)
    inputs = rows.drop(columns=NOT_FEATURES)
    both = continuing.pair(before, boosting(), inputs, rows.late)
    return warm.go_on(both, inputs, rows.late, 25)[0]


def learnt_online(rows: pd.DataFrame, before: Any, new: int) -> Any:
    lesson = online.Lesson(
        rows=rows.iloc[-new:] if before is not None else rows,
        features=[c for c in rows.columns if c not in NOT_FEATURES],
        target="late",
        classes=[0, 1],
        chunk_rows=500,
        score=lambda estimator, chunk: {"roc_auc": auc(estimator, chunk)},
    )
    return online.learn(before if before is not None else sgd(), lesson, fitted=before is not None)[0]


METHODS: Final[dict[str, Method]] = {
    "all before": lambda rows, before, new: fit(rows),
    "fixed: 90 days": fixed,
    "dynamic": dynamic,
    "5,000 stratified": sampled("stratified"),
    "5,000 decayed, 60 days": sampled("decayed", "60d"),
    "5,000 reservoir": sampled("reservoir"),
    "warm start: 25 trees a month": warm_start,
    "linear, from scratch": lambda rows, before, new: fit(rows, sgd()),
    "linear, online": learnt_online,
}


def main() -> None:
    """Print one row a month, April to December."""
    told = []
    before: dict[str, Any] = dict.fromkeys(METHODS)
    for month in range(4, 13):
        rows = months(1, month - 1).sort_values("scheduled", kind="stable").reset_index(drop=True)
        new = len(months(month - 1, month - 1))
        row: dict[str, Any] = {"month": f"{month:02}"}
        for name, method in METHODS.items():
            before[name] = method(rows, before[name], new)
            row[name] = auc(before[name], months(month, month))
        told.append(row)
        print(row, file=sys.stderr, flush=True)
    print(table(told))


if __name__ == "__main__":
    main()
