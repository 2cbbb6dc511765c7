"""The Open Inference Protocol, version 2: tensors in, tensors out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from model_ci.serving.predictions import Predictions
from model_ci.serving.refusal import Problem, Refusal
from model_ci.serving.signature import LARGEST, Rows, Signature, refused, shown
from model_ci.serving.types import Document, Record, Value, Values

DATATYPES: Final = {
    "string": "BYTES", "long": "INT64", "integer": "INT32", "double": "FP64", "float": "FP32", "boolean": "BOOL",
    "datetime": "BYTES",
}  # fmt: skip
KNOWN: Final = (  # no set: what is asked for in it may be anything
    "BOOL", "BYTES", "FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64",
)  # fmt: skip
_WHOLE: Final = {f"INT{n}": (-(2 ** (n - 1)), 2 ** (n - 1) - 1) for n in (8, 16, 32, 64)} | {
    f"UINT{n}": (0, 2**n - 1) for n in (8, 16, 32, 64)
}
_LARGEST: Final = {"FP16": 65504.0, "FP32": LARGEST["float"], "FP64": LARGEST["double"]}
_LIMITS: Final = _WHOLE | {name: (-largest, largest) for name, largest in _LARGEST.items()}
_TYPES: Final[dict[str, type]] = {"BOOL": bool, "BYTES": str}
_SURE: Final[dict[str, set[type]]] = {"BOOL": {bool}, "BYTES": {str, type(None)}, "FP64": {float}}
# Parameters that leave the meaning of a request as it is, with the values that do so; every other one is refused.
_REQUEST: Final = {"content_type": ("pd",), "binary_data_output": (False,)}
_INPUT: Final = {"content_type": ("np", "str")}
_OUTPUT: Final = {"binary_data": (False,)}
LABELS, PROBABILITIES = "predict", "predict_proba"
_KINDS: Final = {"i": "INT64", "f": "FP64", "b": "BOOL"}  # of an array's values
_LABELS: Final[dict[type, str]] = {int: "INT64", float: "FP64", bool: "BOOL"}


def rows(body: Record, signature: Signature, limit: int) -> Rows:
    """Read tensors, one a column, or one of all columns side by side.

    Raises Refusal 400 for another form, 413 for too many rows, 422 for values that are not by the signature.
    """
    tensors = body.get("inputs")
    if type(tensors) is not list or not tensors or not all(type(tensor) is dict for tensor in tensors):
        raise Refusal(400, "format", "inputs must be a list of tensors, each with name, shape, datatype and data")
    names = [tensor.get("name") for tensor in tensors]
    if not all(type(name) is str for name in names) or len(set(names)) != len(names):
        raise Refusal(400, "format", "every tensor must have a name, and no two the same")
    _require_known(body, _REQUEST, "parameters")
    for tensor in tensors:
        _require_known(tensor, _INPUT, f"parameters of {tensor['name']}")
    shapes = [_shape(tensor) for tensor in tensors]
    counts = {shape[0] for shape in shapes}
    if len(counts) > 1:
        sizes = ", ".join(f"{name} has {shape[0]}" for name, shape in zip(names[:10], shapes, strict=False))
        raise Refusal(400, "format", f"all tensors must have as many rows: {sizes}")
    count = counts.pop()
    if count > limit:
        raise Refusal(413, "rows", f"{count} rows are more than the {limit} that one request may have; send fewer")
    if count == 0:
        raise refused([Problem(reason="there are no rows; send at least one")])
    columns: dict[str, Values] = {}
    for tensor, shape in zip(tensors, shapes, strict=True):
        columns |= _columns(tensor, shape, signature)
    return signature.rows(columns, count)


def _require_known(part: Record, known: Mapping[str, tuple[Value, ...]], where: str) -> None:
    """Raise Refusal 422 for a parameter that is not known, as it may change what the request means."""
    parameters = part.get("parameters")
    if not parameters:
        return
    if type(parameters) is not dict:
        raise Refusal(422, "input", f"{where}: must be a mapping. Got a {type(parameters).__name__}.")
    for name, value in parameters.items():
        if not any(type(value) is type(taken) and value == taken for taken in known.get(name, ())):
            allowed = ", ".join(f"{key}: {json.dumps(taken)}" for key, values in known.items() for taken in values)
            got = json.dumps({name: value})[:80]
            raise Refusal(422, "input", f"{where}: leave this one out; the service knows {allowed}. Got {got}.")


def _shape(tensor: Record) -> tuple[int, int]:
    """Return rows and columns of a tensor."""
    name, shape = tensor["name"], tensor.get("shape")
    if tensor.get("datatype") not in KNOWN:
        raise Refusal(400, "format", f"{name}: datatype must be one of {', '.join(KNOWN)}")
    if type(shape) is not list or len(shape) not in (1, 2) or not all(type(n) is int and n >= 0 for n in shape):
        raise Refusal(400, "format", f"{name}: shape must be [rows] or [rows, columns]. Got {str(shape)[:60]}.")
    return (shape[0], 1) if len(shape) == 1 else (shape[0], shape[1])


def _columns(tensor: Record, shape: tuple[int, int], signature: Signature) -> dict[str, Values]:
    name, (count, wide), data = tensor["name"], shape, tensor.get("data")
    if type(data) is not list:
        raise Refusal(400, "format", f"{name}: data must be a list; binary tensors are not read")
    values = list(_flat(data)) if data and type(data[0]) is list else data
    if len(values) != count * wide:
        raise Refusal(400, "format", f"{name}: shape {list(shape)} wants {count * wide} values. Got {len(values)}.")
    if wrong := _problems(tensor, values, wide):
        raise refused(wrong)
    if wide == 1 and (name in signature.names or len(signature.names) > 1):
        return {name: values}
    if wide != len(signature.names):
        raise Refusal(400, "format", f"{name}: has {wide} columns, and the model takes {len(signature.names)}")
    return {column: values[i::wide] for i, column in enumerate(signature.names)}


def _problems(tensor: Record, values: Values, wide: int) -> list[Problem]:
    """Name the values that are not of the tensor's datatype; null stands for an absent one."""
    datatype = tensor["datatype"]
    kinds = set(map(type, values))
    if kinds <= _SURE.get(datatype, set()):
        return []
    if datatype in _LIMITS and kinds <= {int, float}:
        low, high = _LIMITS[datatype]
        if (float not in kinds or datatype in _LARGEST) and low <= min(values) and max(values) <= high:
            return []
    return [
        Problem(column=tensor["name"], row=place // wide, reason=f"is not {datatype}. Got {shown(value)}.")
        for place, value in enumerate(values)
        if value is not None and not _fits(value, datatype)
    ]


def _fits(value: Value, datatype: str) -> bool:
    if datatype in _TYPES:
        return isinstance(value, _TYPES[datatype])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = _LIMITS[datatype]
    if datatype in _LARGEST:
        return value != value or low <= value <= high  # noqa: PLR0124 - NaN alone is not itself, and means null
    return low <= value <= high and value == int(value)


def _flat(data: Values) -> Iterator[Value]:
    for part in data:
        if type(part) is list:
            yield from part
        else:
            yield part


def requested(body: Record, offered: Sequence[str]) -> Sequence[str]:
    """Return which outputs a request names; all where it names none. Raise Refusal 400 for one that there is not."""
    outputs = body.get("outputs")
    if not outputs:
        return offered
    named: list[Value] = [o.get("name") for o in outputs if type(o) is dict] if type(outputs) is list else []
    if not named or len(named) != len(outputs) or not all(name in offered for name in named):
        raise Refusal(400, "format", f"outputs must name some of {', '.join(offered)}")
    for output in outputs:
        _require_known(output, _OUTPUT, f"parameters of {output['name']}")
    return named


def offered(task: str, *, probabilities: bool) -> Sequence[str]:
    """Name the outputs of a model."""
    return (LABELS, PROBABILITIES) if probabilities and task != "regression" else (LABELS,)


def inputs(signature: Signature) -> list[Document]:
    """Describe the tensors that a model takes."""
    return [{"name": c.name, "datatype": DATATYPES[c.type], "shape": [-1]} for c in signature.columns]


def outputs(names: Sequence[str], label: Value, classes: int) -> list[Document]:
    """Describe the tensors that a model answers with; `label` is one of its answers."""
    labels = {"name": LABELS, "datatype": _LABELS.get(type(label), "BYTES"), "shape": [-1]}
    probabilities = {"name": PROBABILITIES, "datatype": "FP64", "shape": [-1, classes]}
    return [probabilities if name == PROBABILITIES else labels for name in names]


def answer(predictions: Predictions, names: Sequence[str]) -> list[Document]:
    """Write predictions as tensors."""
    outputs: list[Document] = []
    for name in names:
        values = predictions.labels if name == LABELS else predictions.probabilities
        if values is not None:
            datatype = _KINDS.get(values.dtype.kind, "BYTES")
            outputs.append(
                {"name": name, "datatype": datatype, "shape": list(values.shape), "data": values.ravel().tolist()}
            )
    return outputs
