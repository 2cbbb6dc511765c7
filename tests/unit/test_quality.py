"""What a model was worth when it was evaluated: measured, kept, and compared with what it is worth on other rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from model_ci.config import Gate
from model_ci.config.conditions import CONDITIONS
from model_ci.errors import ConfigError
from model_ci.gates.comparison import Resampling
from model_ci.gates.condition import Comparisons, judged, opened
from model_ci.gates.metrics import resolve
from model_ci.gates.outputs import Outputs
from model_ci.gates.quality import Quality, measure
from model_ci.gates.reading import read, whole

BRIER = resolve("brier_score", "binary", lambda name: print)
SAME = Gate(metric="brier_score", max_rise=0.0)


def outputs(rows: int, draw: Any) -> Outputs:
    """Draw probabilities that are right, whatever the rows."""
    chance = draw.uniform(0.1, 0.9, rows)
    truth = (draw.random(rows) < chance).astype(int)
    return Outputs(truth=truth, labels=(chance > 0.5).astype(int), probabilities=np.column_stack([1 - chance, chance]))


def known(said: Outputs, gates: list[Gate] | None = None) -> Quality:
    frame = pd.DataFrame({"kind": np.resize(list("ab"), len(said.truth))})
    figures = measure({"brier_score": BRIER}, gates or [], frame, said, Resampling(resamples=200, seed=1), 0.95)
    return Quality(figures=figures, made={"rows": len(frame)})


def state(before: Quality, now: Outputs) -> str:
    plan = Resampling(resamples=500, seed=2)
    mine = read(BRIER, now, [whole(len(now.truth))], plan)
    difference = mine.less(before.read("brier_score", None, [None], plan), 0)
    assert difference
    compared = Comparisons(differences={"brier_score": difference}, rows=None, confidence=0.95)
    start = opened(SAME, CONDITIONS["max_rise"], ["brier_score"])
    return judged(start, mine.scores[0], before.scores(["brier_score"]), compared).state


@pytest.mark.slow
def test_a_model_that_is_as_good_as_it_was_is_seldom_called_worse() -> None:
    """At the limit itself one in twenty is, however few the champion's rows; chance leaves 200 trials between 1 and 10 %."""
    draw = np.random.default_rng(3)
    for before, now in ((500, 500), (300, 1500)):
        states = [state(known(outputs(before, draw)), outputs(now, draw)) for _ in range(200)]
        assert 0.01 < states.count("failed") / 200 < 0.1
        assert 0.01 < states.count("passed") / 200 < 0.1


def test_what_was_measured_comes_back_with_its_slices() -> None:
    found = known(outputs(400, np.random.default_rng(4)), [Gate(metric="brier_score", by="kind", max_rise=0.1)])
    assert [f.slice for f in found.figures] == [None, "kind=a", "kind=b"]
    assert Quality.from_bytes(found.to_bytes(), "here").to_bytes() == found.to_bytes()
    value = found.figures[0]
    assert value.interval
    assert value.interval[0] < (value.value or 0) < value.interval[1]
    reading = found.read("brier_score", "kind", ["kind=b", "kind=c"], Resampling(resamples=50, seed=0))
    assert np.isfinite(reading.drawn).all(axis=0).tolist() == [True, False], "of a slice that is new nothing is known"


@pytest.mark.parametrize("content", [b"", b"{}", b'{"schema_version": 9}', b'{"schema_version": 1, "figures": [{}]}'])
def test_what_is_no_quality_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError, match="version 3: its quality cannot be read"):
        Quality.from_bytes(content, "version 3")
