"""One function names a class, whatever wrote its value."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from model_ci.serving import classes

ONE = [1, 1.0, True, "1", "1.0", "true", "True", "TRUE", Decimal(1), b"1", np.int8(1), np.uint64(1), np.float32(1),
       np.bool_(True), np.str_("1"), np.str_("1.0"), pd.Series([1], dtype="Int64")[0], pd.Series([True], dtype="boolean")[0],
       pl.Series([1.0])[0], pl.Series([True])[0], pl.Series(["1"])[0]]  # fmt: skip


@pytest.mark.parametrize("value", ONE, ids=repr)
def test_one_class_has_one_name(value: Any) -> None:
    assert classes.name(value) == "1"
    assert classes.codes(pd.Series([value], dtype=object), [0, 1]).tolist() == [1]


@pytest.mark.parametrize("value", [None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT], ids=repr)
def test_an_absent_value_is_no_class(value: Any) -> None:
    assert classes.name(value) is None


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("None", "None"), ("nan", "nan"), ("01", "01"), ("1.50", "1.50"), (" 1", " 1"), ("1_000", "1_000"), ("+1", "+1"),
        ("yes", "yes"), (-0.0, "0"), ("-0.0", "0"), (0.5, "0.5"), (np.float32(0.1), "0.1"), (1e16, "10000000000000000"),
        ("1e+16", "10000000000000000"), (2**53 + 1, "9007199254740993"), (np.int64(2**53 + 1), "9007199254740993"),
        ("9007199254740993", "9007199254740993"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_other_values_keep_their_own_names(value: Any, name: str) -> None:
    assert classes.name(value) == name


def test_classes_are_in_the_order_of_scikit_learn() -> None:
    assert classes.ordered([10, 9, 2, 10]) == [2, 9, 10]
    assert classes.ordered(np.array(["10", "9", "2"])) == ["10", "2", "9"]
    assert classes.ordered([True, None, False]) == [False, True]
    assert classes.ordered([1.0, float("nan"), 0.0]) == [0.0, 1.0]


def test_what_is_written_in_two_ways_is_found() -> None:
    assert classes.alike(classes.ordered(["1", "1.0", "2"])) == [["1", "1.0"]]
    assert classes.alike(classes.ordered([0, 1])) == []


@pytest.mark.parametrize(
    ("known", "declared", "place"),
    [
        ([0, 1], None, 1), ([0.0, 1.0], None, 1), ([False, True], None, 1), (["0", "1"], None, 1), (["false", "true"], None, 1),
        (["default", "paid"], None, None), ([1, 2], None, None), ([-1, 1], None, None), (["default", "paid"], "default", 0),
        ([1, 2], "2", 1), ([0, 1], 0, 0), ([False, True], "false", 0), (["a", "b"], "c", None), ([0, 1, 2], 1, None),
    ],
)  # fmt: skip
def test_the_positive_class_is_declared_or_obvious(known: list[Any], declared: Any, place: int | None) -> None:
    assert classes.positive(known, declared) == place
