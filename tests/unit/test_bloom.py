"""The set of rows that a model has learnt from: how large it is, and how often it is wrong."""

import numpy as np
import pytest

from model_ci.data.bloom import BITS_PER_ROW, Bloom


def hashes(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


@pytest.mark.parametrize("count", [1, 7, 1_000, 200_000])
def test_every_row_is_recognized_in_two_bytes_a_row(count: int) -> None:
    rows = hashes(count, 1)
    content = Bloom.of(rows).to_bytes()
    assert len(content) <= 2 * count
    assert Bloom.from_bytes(content).contains(rows).all()


def test_rows_that_repeat_take_no_room() -> None:
    rows = hashes(100, 1)
    assert Bloom.of(np.repeat(rows, 50)).to_bytes() == Bloom.of(rows).to_bytes()


def test_an_empty_set_holds_nothing() -> None:
    empty = Bloom.of(hashes(0, 1))
    assert not Bloom.from_bytes(empty.to_bytes()).contains(hashes(1_000, 2)).any()
    assert empty.false_positives == 0


@pytest.mark.parametrize("rows", [300, 5_000, 100_000])
def test_the_rate_of_false_positives_is_the_one_that_is_stated(rows: int) -> None:
    asked, stated, taken = 400_000, [], 0
    for seed in range(5):
        bloom = Bloom.of(hashes(rows, seed))
        stated.append(bloom.false_positives)
        taken += int(bloom.contains(hashes(asked, seed + 100)).sum())
    rate, expected = taken / (5 * asked), float(np.mean(stated))
    # Within four standard errors of so many questions, and in theory (1 - exp(-k n / m))^k for k = 8 bits of m = 16 n.
    assert abs(rate - expected) < 4 * np.sqrt(expected / (5 * asked)) + 0.05 * expected
    assert expected == pytest.approx((1 - np.exp(-8 / BITS_PER_ROW)) ** 8, rel=0.2)


def test_hashes_that_lie_together_are_told_apart_as_well() -> None:
    # The training rows of a random holdout have the upper part of all hashes, the held-out rows the lower part.
    low, high = np.sort(hashes(100_000, 3)).reshape(2, -1)
    bloom = Bloom.of(high)
    taken = int(bloom.contains(low).sum())
    expected = len(low) * bloom.false_positives
    assert abs(taken - expected) < 4 * np.sqrt(expected) + 1
