"""Attributions of any model at all, by asking it: Shapley values from sampled permutations of the input columns.

A column is unknown when it has the value of a training row instead of its own. Each permutation is walked forwards and
backwards from one training row, the same for every row that is explained, so that the attributions and the base add up
to the output exactly, however few permutations there are. Rows are made by picking values and never encoded, so that
text and categories stay what they are.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from model_ci.explanation.attributions import Attributions

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.types import Array


PERMUTATIONS: Final = 16  # each walked both ways
_QUESTIONS: Final = 100_000  # to the model, about
_FEWEST_ROWS: Final = 20
_LIMIT_S: Final = 60.0


def affordable_rows(columns: int) -> int:
    """Return how many rows can be explained with a bounded number of questions."""
    return max(_QUESTIONS // (2 * PERMUTATIONS * (columns + 1)), _FEWEST_ROWS)


def attribute(
    ask: "Callable[[pd.DataFrame], Array]",
    rows: "pd.DataFrame",
    background: "pd.DataFrame",
    seed: int,
    limit_s: float = _LIMIT_S,
) -> Attributions:
    """Attribute by asking; stops after `limit_s` with the permutations that are done, and says so."""
    import numpy as np

    draw = np.random.default_rng(seed)
    stand_ins = background.iloc[:PERMUTATIONS]
    total: Any = 0.0
    base: Any = 0.0
    outputs: Any = None
    done = 0
    begin = time.monotonic()
    for i in range(PERMUTATIONS):
        permutation = draw.permutation(rows.shape[1])
        stand_in = stand_ins.iloc[[i % len(stand_ins)]]
        for walk in (permutation, permutation[::-1]):
            steps, answers = _walk(ask, rows, stand_in, walk)
            total, base, outputs = total + steps, base + answers[0, 0], answers[-1]
        done += 1
        if time.monotonic() - begin > limit_s:
            break
    stopped = f"stopped after {done} of {PERMUTATIONS} permutations, because the model is slow"
    return Attributions(
        explainer="sampled", scale="", columns=list(rows.columns), values=np.asarray(total) / (2 * done),
        base=np.asarray(base) / (2 * done), outputs=np.asarray(outputs), background=min(done, len(stand_ins)),
        permutations=2 * done, note=stopped if done < PERMUTATIONS else None,
    )  # fmt: skip


def _walk(
    ask: "Callable[[pd.DataFrame], Array]", rows: "pd.DataFrame", stand_in: "pd.DataFrame", permutation: "Array"
) -> "tuple[Array, Array]":
    """Turn the stand-in into each row, one column after the other; return what each column changed, and all answers."""
    import numpy as np

    many, columns = rows.shape
    picked = np.full((columns + 1, many, columns), many)  # the stand-in stands behind the rows
    for step, column in enumerate(permutation):
        picked[step + 1 :, :, column] = np.arange(many)
    answers = ask(_pick(rows, stand_in, picked.reshape(-1, columns))).reshape(columns + 1, many, -1)
    changed = np.empty((many, columns, answers.shape[2]))
    changed[:, permutation] = np.diff(answers, axis=0).transpose(1, 0, 2)
    return changed, answers


def _pick(rows: "pd.DataFrame", stand_in: "pd.DataFrame", picked: "Array") -> "pd.DataFrame":
    import pandas as pd

    values = pd.concat([rows, stand_in], ignore_index=True).astype(rows.dtypes)
    names = list(rows.columns)
    return pd.DataFrame({name: values[name].take(picked[:, i]).array for i, name in enumerate(names)})
