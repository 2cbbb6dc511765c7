import json
from collections.abc import Mapping
from typing import Any

import pytest

from model_ci.serving import body, inference, invocations
from model_ci.serving.refusal import Refusal
from model_ci.serving.signature import Column, Signature

SIGNATURE = Signature([Column(name="a", type="double", required=True), Column(name="b", type="string", required=True)])
ROWS = [[1.0, 2.0], ["x", "y"]]


def read(sent: Mapping[str, Any]) -> list[list[Any]]:
    return [list(values) for values in invocations.rows(sent, SIGNATURE, 10).values]


@pytest.mark.parametrize(
    "sent",
    [
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, "x"], [2.0, "y"]]}},
        {"dataframe_split": {"columns": ["b", "c", "a"], "index": [7, 8], "data": [["x", 0, 1.0], ["y", 0, 2.0]]}},
        {"dataframe_records": [{"a": 1.0, "b": "x"}, {"b": "y", "a": 2.0, "c": 0}]},
        {"instances": [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]},
        {"inputs": [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}], "params": {"p": 1}},
        {"inputs": {"a": [1.0, 2.0], "b": ["x", "y"]}},
        {"inputs": {"a": [[1.0], [2.0]], "b": [["x"], ["y"]]}},
        {"inputs": [[1.0, "x"], [2.0, "y"]]},
        {"instances": {"a": [1.0, 2.0], "b": ["x", "y"]}},
    ],
)
def test_the_same_rows_in_each_of_mlflows_forms(sent: Mapping[str, Any]) -> None:
    assert read(sent) == ROWS


def test_one_row_may_be_sent_as_plain_values() -> None:
    assert read({"inputs": {"a": 1.0, "b": "x"}}) == [[1.0], ["x"]]


def test_a_record_without_a_key_has_null_there() -> None:
    assert read({"dataframe_records": [{"a": 1.0}, {"a": 2.0, "b": "y"}]}) == [[1.0, 2.0], [None, "y"]]


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (400, {}),
        (400, {"inputs": [], "instances": []}),
        (400, {"dataframe_split": []}),
        (400, {"dataframe_split": {"data": [[1.0, "x"]]}}),
        (400, {"dataframe_split": {"columns": ["a", "a"], "data": [[1.0, 2.0]]}}),
        (400, {"dataframe_split": {"columns": [1, 2], "data": [[1.0, 2.0]]}}),
        (400, {"dataframe_records": {"a": [1.0], "b": ["x"]}}),
        (400, {"inputs": {"a": [1.0, 2.0], "b": ["x"]}}),
        (400, {"inputs": 5}),
        (422, {"dataframe_records": []}),
        (422, {"inputs": {}}),
        (422, {"dataframe_split": {"columns": ["a", "b"], "data": []}}),
        (422, {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0]]}}),
        (422, {"dataframe_split": {"columns": ["a", "b"], "data": [5]}}),
        (422, {"dataframe_records": [{"a": 1.0, "b": "x"}, 5]}),
        (422, {"inputs": [1.0, 2.0]}),
        (413, {"inputs": [{"a": 1.0, "b": "x"}] * 11}),
    ],
)
def test_another_form_is_refused(status: int, sent: Mapping[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        read(sent)
    assert refused.value.status == status


def tensors(**changes: Any) -> dict[str, Any]:
    a = {"name": "a", "shape": [2], "datatype": "FP64", "data": [1.0, 2.0]}
    b = {"name": "b", "shape": [2, 1], "datatype": "BYTES", "data": ["x", "y"]}
    return {"inputs": [{**a, **changes}, b]}


def test_tensors_are_columns() -> None:
    found = inference.rows(tensors(), SIGNATURE, 10)
    assert [list(values) for values in found.values] == ROWS


def test_one_tensor_may_hold_all_columns() -> None:
    numbers = Signature([Column(name=n, type="double", required=True) for n in "ab"])
    for data in ([1.0, 2.0, 3.0, 4.0], [[1.0, 2.0], [3.0, 4.0]]):
        sent = {"inputs": [{"name": "all", "shape": [2, 2], "datatype": "FP32", "data": data}]}
        assert [list(v) for v in inference.rows(sent, numbers, 10).values] == [[1.0, 3.0], [2.0, 4.0]]


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (400, {}),
        (400, {"inputs": []}),
        (400, {"inputs": [5]}),
        (400, tensors(name=5)),
        (400, tensors(name="b")),
        (400, tensors(datatype="TEXT")),
        (400, tensors(datatype=[{}])),
        (400, tensors(shape=[])),
        (400, tensors(shape=[2, 1, 1])),
        (400, tensors(shape=[-1])),
        (400, tensors(shape=[3])),
        (400, tensors(data=[1.0])),
        (400, tensors(data={"a": 1})),
        (422, tensors(data=[1.0, "x"])),
        (422, tensors(name="c")),
        (422, {"inputs": [{"name": "a", "shape": [0], "datatype": "FP64", "data": []}]}),
        (413, {"inputs": [{"name": "a", "shape": [11], "datatype": "FP64", "data": [1.0] * 11}]}),
    ],
)
def test_other_tensors_are_refused(status: int, sent: Mapping[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        inference.rows(sent, SIGNATURE, 10)
    assert refused.value.status == status


def test_only_the_outputs_that_are_wanted() -> None:
    offered = inference.offered("binary", probabilities=True)
    assert inference.requested({}, offered) == ("predict", "predict_proba")
    assert inference.requested({"outputs": [{"name": "predict"}]}, offered) == ["predict"]
    for wrong in ([{"name": "other"}], ["predict"], "predict", [{}]):
        with pytest.raises(Refusal):
            inference.requested({"outputs": wrong}, offered)


@pytest.mark.parametrize(
    ("datatype", "good", "bad"),
    [
        ("BOOL", [True, False], [0, 1.0, "true", [True]]),
        ("BYTES", ["", "5"], [5, 1.5, True, {}]),
        ("INT8", [-128, 127, 5.0], [128, -129, 300, 0.5, "5", True, float("nan"), float("inf")]),
        ("INT16", [-32768, 32767], [32768, -32769]),
        ("INT32", [-(2**31), 2**31 - 1], [2**31, -(2**31) - 1]),
        ("INT64", [-(2**63), 2**63 - 1], [2**63, 1e300]),
        ("UINT8", [0, 255], [-1, 256]),
        ("UINT16", [65535], [65536, -1]),
        ("UINT32", [2**32 - 1], [2**32, -1]),
        ("UINT64", [0], [-1, 2**64]),
        ("FP16", [65504, -1.5], [65505, "1.5", False]),
        ("FP32", [1, 3e38, float("nan")], [1e39, -1e39, "1.5"]),
        ("FP64", [1, 1e300, float("nan")], ["1.5", True, 10**400]),
    ],
)
def test_a_value_must_be_of_its_datatype(datatype: str, good: list[Any], bad: list[Any]) -> None:
    def sent(*values: Any) -> dict[str, Any]:
        return {"inputs": [{"name": "other", "shape": [len(values)], "datatype": datatype, "data": [*values]}]}

    one = Signature([Column(name=name, type="string", required=False) for name in ("a", "b")])
    for values in (good, [*good, None], *([value] for value in good)):
        assert inference.rows(sent(*values), one, 10).count == len(values)
    for value in bad:
        with pytest.raises(Refusal, match=f"column 'other', row 1: is not {datatype}") as refused:
            inference.rows(sent(good[0], value), one, 10)
        assert refused.value.status == 422


PARAMETERS = [{"content_type": "base64"}, {"content_type": True}, {"binary_data_size": 3}, {"x": None}, [1], "base64"]


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_a_parameter_that_may_change_the_meaning_is_refused(parameters: Any) -> None:
    offered = inference.offered("binary", probabilities=True)
    questions = [
        lambda: inference.rows({**tensors(), "parameters": parameters}, SIGNATURE, 10),
        lambda: inference.rows(tensors(parameters=parameters), SIGNATURE, 10),
        lambda: inference.requested({"outputs": [{"name": "predict", "parameters": parameters}]}, offered),
    ]
    for question in questions:
        with pytest.raises(Refusal, match="parameters") as refused:
            question()
        assert refused.value.status == 422


def test_parameters_that_leave_the_meaning_are_taken() -> None:
    for sent in ({"content_type": "pd"}, {"binary_data_output": False}, {}, None):
        assert (
            inference.rows({**tensors(parameters={"content_type": "np"}), "parameters": sent}, SIGNATURE, 10).count == 2
        )
    assert inference.requested({"outputs": [{"name": "predict", "parameters": {"binary_data": False}}]}, ("predict",))


@pytest.mark.parametrize(
    "sent",
    [
        b'{"a": 1, "a": 1}', b'{"a": {"b": 1, "b": 2}}', b'{"a": [{"b": 1}, {"b": 1, "b": 2}]}', b'{"a": [[{"b": 1, "b": 2}]]}',
        rb'{"a": "\u003a", "b": 1, "b": 1}', rb'{"a": 1, "\u0061": 2}', b'{"a": NaN, "a": 1}', b'{"a": ":", "a": 1}',
    ],
)  # fmt: skip
def test_a_key_that_stands_twice_is_refused(sent: bytes) -> None:
    with pytest.raises(Refusal, match="stands twice") as refused:
        body.read(sent)
    assert refused.value.status == 422


@pytest.mark.parametrize(
    "value",
    [{"a": ":", "b:": 1}, {"a": [{"b": "12:30"}, {"b": "::"}]}, {"a": [1, {"b": {"c": [{"d": ":"}]}}]}, {"a": []}],
)
def test_colons_are_not_keys(value: dict[str, Any]) -> None:
    assert body.read(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "sent",
    [b"", rb'{"a": NaN, "b": "\ud800"}', b"[1]", b"5", b"{", b'{"a": 1,}', b"\xff", b"[" * 100_000, b'{"a": NaN'],
)
def test_what_is_no_json_mapping_is_refused(sent: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        body.read(sent)
    assert refused.value.status == 400


def test_not_a_number_is_read_as_pythons_own_writer_writes_it() -> None:
    found = body.read(b'{"a": [NaN, Infinity, -Infinity]}')["a"]
    assert found[0] != found[0]
    assert found[1:] == [float("inf"), -float("inf")]
