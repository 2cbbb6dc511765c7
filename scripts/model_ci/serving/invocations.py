"""MLflow's protocol: four ways to write rows down, and one answer."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Final

from model_ci.serving.predictions import Predictions
from model_ci.serving.refusal import Problem, Refusal
from model_ci.serving.signature import Rows, Signature, refused
from model_ci.serving.types import Columns, Document, Record, Value, Values

FORMATS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")


def rows(body: Record, signature: Signature, limit: int) -> Rows:
    """Read the rows of a request; raise Refusal 400 for another form, 413 for too many rows, 422 for wrong values."""
    named = [name for name in FORMATS if name in body]
    if len(named) != 1:
        raise Refusal(400, "format", f"the body must have exactly one of {', '.join(FORMATS)}. Got {_keys(body)}.")
    given = body[named[0]]
    columns, count = _split(given) if named[0] == "dataframe_split" else _any(given, named[0], signature)
    if count == 0:
        raise refused([Problem(reason="there are no rows; send at least one")])
    if count > limit:
        raise Refusal(413, "rows", f"{count} rows are more than the {limit} that one request may have; send fewer")
    return signature.rows(columns, count)


def answer(predictions: Predictions) -> Document:
    """Return what MLflow's server says, and the probabilities beside it."""
    document: Document = {"predictions": predictions.listed}
    if predictions.probabilities is not None:
        document["probabilities"] = predictions.probabilities
    return document


def _split(given: Value) -> tuple[Columns, int]:
    if type(given) is not dict or type(given.get("columns")) is not list or type(given.get("data")) is not list:
        raise Refusal(400, "format", "dataframe_split must be a mapping with the lists 'columns' and 'data'")
    return _matrix(given["data"], given["columns"])


def _matrix(data: Values, names: Values) -> tuple[Columns, int]:
    """Turn a list of rows, each a list, into columns."""
    wide = len(names)
    if not all(type(name) is str for name in names):
        raise Refusal(400, "format", "the names of the columns must be text")
    if len(set(names)) != wide:
        twice = [repr(name)[:60] for name, times in Counter(names).most_common(10) if times > 1]
        raise Refusal(400, "format", f"the column {', '.join(twice)} is there more than once; send it once")
    if not data:
        return {}, 0
    wrong = [
        Problem(row=row, reason=f"must be a list of {wide} values, one for each column. Got {_size(values)}.")
        for row, values in enumerate(data)
        if type(values) is not list or len(values) != wide
    ]
    if wrong:
        raise refused(wrong)
    return dict(zip(names, zip(*data, strict=True), strict=True)), len(data)


def _any(given: Value, where: str, signature: Signature) -> tuple[Columns, int]:
    """Read rows as mappings or lists, or, of `inputs` and `instances`, a mapping of columns."""
    if type(given) is dict and where != "dataframe_records":
        return _columns(given, where)
    if type(given) is not list:
        raise Refusal(400, "format", f"{where} must be a list of rows. Got a {type(given).__name__}.")
    kinds = set(map(type, given))
    if kinds == {dict} or not given:
        return _records(given)
    if kinds == {list} and where != "dataframe_records":
        return _matrix(given, signature.names)
    if where != "dataframe_records" and len(signature.names) == 1 and not kinds & {dict, list}:
        return {signature.names[0]: given}, len(given)
    row = next(i for i, value in enumerate(given) if type(value) is not dict)
    raise refused([Problem(row=row, reason=f"must be a mapping of column to value. Got {_size(given[row])}.")])


def _records(given: Sequence[Document]) -> tuple[Columns, int]:
    names = dict.fromkeys(chain.from_iterable(given))
    return {name: [row.get(name) for row in given] for name in names}, len(given)


def _columns(given: Record, where: str) -> tuple[Columns, int]:
    """Read a mapping of column to its values; a column may be one value when all are."""
    lists = {name: values if type(values) is list else [values] for name, values in given.items()}
    counts = {len(values) for values in lists.values()}
    if len(counts) > 1:
        sizes = ", ".join(f"{name} has {len(values)}" for name, values in list(lists.items())[:10])
        raise Refusal(400, "format", f"the columns of {where} must have as many values each: {sizes}")
    unnested = {name: [_unwrapped(value) for value in values] for name, values in lists.items()}
    return unnested, counts.pop() if counts else 0


def _unwrapped(value: Value) -> Value:
    """A column of shape (rows, 1) is a column."""
    return value[0] if type(value) is list and len(value) == 1 else value


def _size(value: Value) -> str:
    return f"a list of {len(value)}" if type(value) is list else f"a {type(value).__name__}"


def _keys(body: Record) -> str:
    shown = [repr(key)[:60] for key in list(body)[:10]]
    return ", ".join(shown) or "an empty mapping"
