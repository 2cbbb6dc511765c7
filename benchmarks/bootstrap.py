"""CPU of the paired bootstrap beside a loop over scikit-learn: 1,000 resamples of both models on 50,000 rows.

The loop is run on the first resamples only, the very same ones, and its time is scaled up; its values must be equal.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final

os.environ.setdefault("OMP_NUM_THREADS", "1")  # CPU of one thread: more threads would count their waiting too

import numpy as np

from model_ci.gates.comparison import Resampling, differences
from model_ci.gates.metrics import Metric, resolve
from model_ci.gates.outputs import Outputs

ROWS: Final = 50_000
RESAMPLES: Final = 1_000
LOOPED: Final = 20
BAR_S: Final = 5.0
EXACT: Final = 1e-9
METRICS: Final = (
    ("roc_auc", "binary"),
    ("log_loss", "binary"),
    ("f1", "binary"),
    ("mean_absolute_error", "regression"),
)


def outputs(task: str, seed: int, ties: bool) -> Outputs:
    """Return what a model of some skill says of the rows; `ties`: with probabilities of two digits, as trees give."""
    truth_draw, draw = np.random.default_rng(0), np.random.default_rng(seed)
    if task == "regression":
        truth = truth_draw.standard_t(3, ROWS)
        return Outputs(truth=truth, labels=truth + draw.normal(size=ROWS), probabilities=None)
    truth = (truth_draw.random(ROWS) < 0.2).astype(int)
    p = 1 / (1 + np.exp(-(1.2 * truth + draw.normal(size=ROWS) - 1.5)))
    p = np.round(p, 2) if ties else p
    return Outputs(truth=truth, labels=(p > 0.5).astype(int), probabilities=np.column_stack([1 - p, p]))


def loop(metric: Metric, challenger: Outputs, champion: Outputs, plan: Resampling, most: int) -> list[float]:
    """Return the differences by asking scikit-learn's function about the drawn rows, resample by resample."""
    found: list[float] = []
    rows = np.arange(ROWS)
    for weights in plan.weights(ROWS):
        for drawn in (np.repeat(rows, w.astype(int)) for w in weights):
            found.append(metric.function(challenger.drawn(drawn)) - metric.function(champion.drawn(drawn)))
            if len(found) == most:
                return found
    return found


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what the work returns and its seconds of CPU."""
    begin = time.process_time()
    result = work()
    return result, time.process_time() - begin


def main() -> int:
    """Measure and print; return 1 when the bar is missed or a value differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--looped", type=int, default=LOOPED, help="resamples of the loop (%(default)s)")
    looped = parser.parse_args().looped
    missed = False
    print(f"{RESAMPLES:,} resamples of {ROWS:,} rows, both models; the loop: {looped} resamples, scaled")
    print(f"{'metric':<28}{'model-ci, CPU s':>16}{'loop, CPU s':>14}{'times':>8}{'largest difference':>20}")
    for name, task in METRICS:
        for ties in (False, True) if name == "roc_auc" else (False,):
            metric = resolve(name, task, lambda name: print)
            sides = outputs(task, 1, ties), outputs(task, 2, ties)
            plan = Resampling(resamples=RESAMPLES, seed=0)
            found, ours = timed(lambda: differences({name: metric}, *sides, plan)[name])  # noqa: B023 - called at once
            theirs, spent = timed(lambda: loop(metric, *sides, plan, looped))  # noqa: B023
            spent *= RESAMPLES / looped
            off = float(np.abs(found.resampled[:looped] - theirs).max())
            label = f"{name}, ties" if ties else name
            print(f"{label:<28}{ours:>16.2f}{spent:>14.1f}{spent / ours:>8.0f}{off:>20.1e}", flush=True)
            missed |= off > EXACT or (name == "roc_auc" and ours > BAR_S)
    print(f"bar: ROC AUC under {BAR_S:g} s, values equal to {EXACT:g}: {'missed' if missed else 'kept'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
