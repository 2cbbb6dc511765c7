"""Features that know the answer, and rows that were seen in training."""

import numpy as np
import polars as pl
import pytest

from model_ci.data import rowhash
from model_ci.stages.check_data import leakage
from model_ci.stages.check_data.leakage import Overlap, Sample
from model_ci.stages.check_data.repeats import Repeats

RNG = np.random.default_rng(0)
ROWS = 4000
BINARY = RNG.integers(0, 2, ROWS)
CLASSES = RNG.integers(0, 4, ROWS)
NUMBER = RNG.normal(size=ROWS)
NOISE = RNG.normal(size=ROWS)


def judge(feature: object, target: object, task: str) -> float:
    rows = pl.DataFrame([pl.Series("f", feature), pl.Series("y", target)])  # type: ignore[arg-type]
    return leakage.powers(rows, ["f"], "y", task)["f"]


@pytest.mark.parametrize(
    ("feature", "target", "task"),
    [
        (BINARY * 2.0, BINARY, "binary"),
        (-BINARY + NOISE / 1e3, BINARY, "binary"),
        (BINARY == 1, BINARY, "binary"),
        (np.where(BINARY == 1, "late", "early"), BINARY, "binary"),
        (BINARY, np.where(BINARY == 1, "late", "early"), "binary"),
        ([None if y else 3.0 for y in BINARY], BINARY, "binary"),
        ([0.5 * e if y else None for y, e in zip(BINARY, NOISE, strict=True)], BINARY, "binary"),
        (
            [e if e > 1 else None if y else -e * e for y, e in zip(np.where(NOISE > 1, 1, BINARY), NOISE, strict=True)],
            np.where(NOISE > 1, 1, BINARY),
            "binary",
        ),
        (np.where(BINARY == 1, 2, RNG.choice([1, 3], ROWS)), BINARY, "binary"),
        (np.where(BINARY == 1, 0, RNG.choice([-5, 5], ROWS)) + NOISE / 10, BINARY, "binary"),
        (CLASSES, CLASSES, "multiclass"),
        (CLASSES + NOISE / 100, CLASSES, "multiclass"),
        ([f"class {c}" for c in CLASSES], CLASSES, "multiclass"),
        (np.exp(NUMBER), NUMBER, "regression"),
        (-NUMBER + NOISE / 1e3, NUMBER, "regression"),
        ([f"class {c}" for c in CLASSES], CLASSES * 1.0, "regression"),
    ],
)
def test_what_knows_the_answer(feature: object, target: object, task: str) -> None:
    assert judge(feature, target, task) > 0.99


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(
    "feature",
    [
        NOISE,
        np.arange(ROWS),
        [f"id {i}" for i in range(ROWS)],
        [f"pair {i // 2}" for i in RNG.permutation(ROWS)],
        [f"some {i}" for i in RNG.integers(0, 900, ROWS)],
        RNG.integers(0, 60, ROWS),
        [None] * ROWS,
        [1] * ROWS,
        [None if e > 0 else e for e in NOISE],
    ],
    ids=["noise", "order", "id", "pairs", "many", "codes", "absent", "constant", "half"],
)
def test_what_knows_nothing_does_not_look_good_by_chance(feature: object, task: str) -> None:
    target = {"binary": BINARY, "multiclass": CLASSES, "regression": NUMBER}[task]
    assert judge(feature, target, task) < (0.05 if task == "regression" else 0.56)


def test_the_curve_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    feature = (BINARY + 3 * NOISE).round(
        2
    )  # too many values to be told apart by place, and a plain rise with the target
    expected = roc_auc_score(BINARY, feature)
    assert judge(feature, BINARY, "binary") == pytest.approx(expected, abs=1e-12)
    assert judge(-feature, BINARY, "binary") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["load_iris", "load_wine", "load_breast_cancer", "load_diabetes"])
def test_well_known_data_is_not_accused(name: str) -> None:
    from sklearn import datasets

    values, answers = getattr(datasets, name)(return_X_y=True)
    task = {"load_breast_cancer": "binary", "load_diabetes": "regression"}.get(name, "multiclass")
    assert max(judge(column, answers, task) for column in values.T) < 0.99


def test_what_is_told() -> None:
    found = leakage.findings({"a": 0.7, "b": 0.999}, "y", "binary", 0.99)
    assert [f.where for f in found] == ["b"]
    assert "area under the ROC curve 0.9990, at most 0.99" in found[0].what
    assert "data.exclude" in found[0].what


def overlap(train: pl.DataFrame, holdout: pl.DataFrame, columns: list[str], batch: int = 3) -> tuple[int, int]:
    found = Overlap(columns)
    for frame, held in ((train, False), (holdout, True)):
        for part in frame.iter_slices(batch):
            found.add(rowhash.of_columns(part), np.full(part.height, held))
    return found.counts()


def test_rows_that_were_seen_in_training() -> None:
    train = pl.DataFrame({"id": range(10), "x": range(10), "w": list("abcdefghij"), "y": [0, 1] * 5})
    again = train.with_columns(id=pl.col("id") + 100)
    assert overlap(train, again, ["x", "w", "y"]) == (10, 10)
    assert overlap(train, again, ["id", "x", "w", "y"]) == (0, 10)
    other = again.with_columns(y=1 - pl.col("y"))
    assert overlap(train, other, ["x", "w", "y"]) == (0, 10)
    assert overlap(train, pl.concat([other, again.head(2)]), ["x", "w", "y"]) == (2, 12)
    assert overlap(train.clear(), again, ["x"]) == (0, 10)


def test_overlap_above_what_is_allowed_is_told() -> None:
    frame = pl.DataFrame({"x": range(10), "y": [0, 1] * 5})
    found = Overlap(["x", "y"])
    for held in (False, True):
        found.add(rowhash.of_columns(frame), np.full(10, held))
    assert found.findings(1.0) == []
    assert "10 of 10 rows (100.00%) of the holdout" in found.findings(0.99)[0].what


def test_the_sample_is_the_same_in_whatever_batches() -> None:
    frame = pl.DataFrame({"x": range(1000), "y": [0, 1] * 500})

    def sampled(batch: int, rows: pl.DataFrame) -> pl.DataFrame:
        sample = Sample(["x"], size=100)
        for part in rows.iter_slices(batch):
            sample.add(part, rowhash.of_columns(part), part["y"].to_numpy() == 1)
        return sample.rows()

    whole = sampled(1000, frame)
    assert whole.height == 100
    assert (whole["x"] % 2 == 1).all()
    assert sampled(7, frame).equals(whole)
    assert sampled(50, frame.sample(fraction=1, shuffle=True, seed=1)).equals(whole)


def test_what_is_sampled_does_not_grow_with_the_rows() -> None:
    sample = Sample(["x"], size=100)
    for start in range(0, 5000, 50):
        part = pl.DataFrame({"x": range(start, start + 50)})
        sample.add(part, rowhash.of_columns(part), np.full(50, True))
        assert sum(kept.height for kept in sample._parts) <= 250


def test_repeats_among_more_rows_than_were_expected() -> None:
    found, other = Repeats(), Repeats()
    for part in np.array_split(np.arange(1_200_000, dtype=np.uint64) % np.uint64(1_100_000), 9):
        found.add(part)
    other.add(np.arange(1_099_999, 2_000_000, dtype=np.uint64))
    assert found.count() == 100_000
    assert found.share_in(other) == (1, 1_200_000)
    assert other.share_in(found) == (1, 900_001)


def test_hashes_of_rows() -> None:
    frame = pl.DataFrame({"a": [0.0, -0.0, 1.0, None], "b": ["x", "x", None, "x"]})
    hashes = rowhash.of_columns(frame)
    rows = rowhash.of_rows(hashes, ["a", "b"])
    assert rows[0] == rows[1]
    assert len(set(rows.tolist())) == 3
    assert (rowhash.of_rows(hashes, ["b", "a"]) == rows).all()
    assert (rowhash.of_rows(hashes, ["a", "b"], seed=1) != rows).all()
    large = rowhash.of_rows(rowhash.of_columns(pl.DataFrame({"a": [2**24, 2**24 + 1]})), ["a"])
    assert large[0] != large[1]
    swapped = frame.select(a=pl.Series([1, 2]), b=pl.Series([2, 1]))
    assert len(set(rowhash.of_rows(rowhash.of_columns(swapped), ["a", "b"]).tolist())) == 2
    many = rowhash.of_rows(rowhash.of_columns(pl.DataFrame({"a": range(100_000)})), ["a"])
    shares = rowhash.shares(many)
    assert np.allclose(np.histogram(shares, bins=10, range=(0, 1))[0], 10_000, rtol=0.05)
