"""Bodies as JSON: read fast, and read again with what Python's own reader takes besides, such as NaN."""

import json
from typing import TYPE_CHECKING

from model_ci.serving.refusal import Refusal
from model_ci.serving.types import Document, Value

if TYPE_CHECKING:
    pass


def read(body: bytes) -> Document:
    """Return the mapping in a body; raise Refusal 400 where there is none, 422 where one key stands twice in a mapping.

    NaN and Infinity, which JSON has no words for, are read as the callers that send them mean them.
    """
    import orjson

    try:
        value = orjson.loads(body)
        certain = _has_every_key(body, value)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in body and b"Infinity" not in body:
            raise _not_json(str(error)) from None
        value, certain = None, False
    if not certain:
        value = _read_carefully(body)
    if type(value) is not dict:
        raise Refusal(400, "json", f"the body must be a JSON mapping. Got a {type(value).__name__}.")
    return value


def _has_every_key(body: bytes, value: Value) -> bool:
    """Tell cheaply whether no key was lost, by the colons: each key has one of its own, and text may have more.

    First the keys of the usual forms are counted; then the value, written again, shows how many colons its text has.
    """
    import orjson

    colons = body.count(b":")
    if type(value) is dict and colons == _keys(value):
        return True
    try:
        return b"\\u" not in body and colons == orjson.dumps(value).count(b":")
    except TypeError:  # nested too deeply for it
        return False


def _keys(value: Document) -> int:
    count = len(value)
    for below in value.values():
        if type(below) is dict:
            count += len(below)
        elif type(below) is list and below and type(below[0]) is dict:
            count += sum(len(each) for each in below if type(each) is dict)
    return count


def _read_carefully(body: bytes) -> Value:
    """Read with Python's own reader, which shows keys that stand twice; text that is not Unicode is refused."""
    try:
        value = json.loads(body, object_pairs_hook=_unique)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _not_json("it holds half a surrogate pair, which is not text") from None
    except (ValueError, RecursionError) as error:
        raise _not_json(str(error)) from None
    return value


def _unique(pairs: list[tuple[str, Value]]) -> Document:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Refusal(422, "input", f"the key {twice[:60]!r} stands twice in one mapping; send it once")
    return mapping


def _not_json(problem: str) -> Refusal:
    return Refusal(400, "json", f"the body is not JSON: {problem}")


def write(value: Value) -> bytes:
    """Return a value as JSON; arrays of numpy are taken as lists, and what is no number is null."""
    import orjson

    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
