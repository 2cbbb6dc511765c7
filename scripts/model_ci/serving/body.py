"""Bodies as JSON: read fast, and read again with what Python's own reader takes besides, such as NaN."""

import json
from typing import Any

from model_ci.serving.refusal import Refusal


def read(body: bytes) -> dict[str, Any]:
    """Return the mapping in a body; raise Refusal 400 where there is none.

    NaN and Infinity, which JSON has no words for, are read as the callers that send them mean them.
    """
    import orjson

    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        value = _read_leniently(body, str(error))
    if type(value) is not dict:
        raise Refusal(400, "json", f"the body must be a JSON mapping. Got a {type(value).__name__}.")
    return value


def _read_leniently(body: bytes, problem: str) -> Any:
    if b"NaN" in body or b"Infinity" in body:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass
    raise Refusal(400, "json", f"the body is no JSON: {problem}")


def write(value: Any) -> bytes:
    """Return a value as JSON; arrays of numpy are taken as lists, and what is no number is null."""
    import orjson

    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
