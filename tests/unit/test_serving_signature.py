import math
from typing import Any

import pytest

from model_ci.serving.refusal import Refusal
from model_ci.serving.signature import Column, Signature


def taken(kind: str, *values: Any) -> Any:
    signature = Signature([Column(name="x", type=kind, required=True)])
    return list(signature.rows({"x": list(values)}, len(values)).values[0])


@pytest.mark.parametrize(
    ("kind", "sent", "seen"),
    [
        ("double", 5, 5.0), ("double", True, 1.0), ("double", "5.5", 5.5), ("double", None, None),
        ("double", 2**53 + 1, float(2**53)), ("double", 2**64, 2.0**64), ("double", 1e308, 1e308),
        ("float", 0.1, 0.1),
        ("long", 5.0, 5), ("long", "5", 5), ("long", True, 1), ("long", 2**63 - 1, 2**63 - 1), ("long", -(2**63), -(2**63)),
        ("integer", 2**31 - 1, 2**31 - 1),
        ("string", "", ""), ("string", None, None), ("string", math.nan, None), ("string", "ü✈", "ü✈"),
        ("boolean", False, False),
        ("datetime", "2024-05-01T12:30:00", "2024-05-01T12:30:00"), ("datetime", "2024-05-01", "2024-05-01T00:00:00"),
        ("datetime", None, None),
    ],
)  # fmt: skip
def test_a_value_is_taken_where_nothing_of_it_is_lost(kind: str, sent: Any, seen: Any) -> None:
    (found,) = taken(kind, sent)
    assert found == seen
    assert type(found) is type(seen)
    assert taken(kind, *[sent] * 3) == [seen] * 3


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("double", "x"), ("double", ""), ("double", "1_0"), ("double", [1]), ("double", {"a": 1}), ("double", 10**400),
        ("double", "9" * 1000), ("double", math.inf), ("double", -math.inf), ("double", "inf"), ("float", 1e39),
        ("long", 5.5), ("long", None), ("long", math.nan), ("long", math.inf), ("long", 2**63), ("long", "5.0"),
        ("long", "1_0"), ("long", 1e308), ("long", []), ("integer", 2**31),
        ("string", 5), ("string", True), ("string", [1]), ("string", {}), ("string", math.inf),
        ("boolean", 1), ("boolean", None), ("boolean", "true"),
        ("datetime", "yesterday"), ("datetime", 5),
    ],
)  # fmt: skip
def test_a_value_that_would_be_changed_is_refused_with_its_row_and_column(kind: str, sent: Any) -> None:
    good = {
        "double": 1.0,
        "float": 1.0,
        "long": 1,
        "integer": 1,
        "string": "a",
        "boolean": True,
        "datetime": "2024-05-01",
    }[kind]
    with pytest.raises(Refusal) as refused:
        taken(kind, good, sent, good, sent)
    assert refused.value.status == 422
    assert [(p.column, p.row) for p in refused.value.problems] == [("x", 1), ("x", 3)]
    assert len(str(refused.value)) < 300


def test_all_problems_are_told_at_once() -> None:
    signature = Signature(
        [
            Column(name="a", type="double", required=True),
            Column(name="b", type="long", required=True),
            Column(name="c", type="string", required=True),
        ]
    )
    with pytest.raises(Refusal) as refused:
        signature.rows({"a": [1.0, "x"], "b": [None, 1]}, 2)
    assert [(p.column, p.row) for p in refused.value.problems] == [("a", 1), ("b", 0), ("c", None)]
    assert refused.value.as_record()["problem_count"] == 3


def test_an_optional_column_that_is_left_out_is_null_and_an_unknown_one_is_left_aside() -> None:
    signature = Signature([Column(name="a", type="double", required=False)])
    assert list(signature.rows({"b": [1, 2]}, 2).values[0]) == [None, None]
    optional = Signature([Column(name="n", type="long", required=False)])
    with pytest.raises(Refusal):
        optional.rows({}, 2)


def test_a_categorical_column_has_the_categories_of_training() -> None:
    from model_ci.serving.sklearn_engine import SklearnEngine

    size = Column(name="size", type="string", required=True, categories=["S", "M", "L"], ordered=True)
    signature = Signature([size])
    table = SklearnEngine(object(), signature).table(signature.rows({"size": ["L", None, "XXL"]}, 3))
    assert table["size"].cat.categories.tolist() == ["S", "M", "L"]
    assert table["size"].cat.ordered
    assert table["size"].tolist()[0] == "L"
    assert table["size"].isna().tolist() == [False, True, True]
