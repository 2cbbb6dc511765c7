"""A fitted scikit-learn pipeline as one ONNX graph, and whether it answers as the pipeline does."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from model_ci.serving.onnx_engine import NUMBERS_INPUT, TEXTS
from model_ci.serving.signature import NUMBERS, Column
from model_ci.stages.build_image.converters import DOMAIN, UnconvertibleError, register

if TYPE_CHECKING:
    import onnx
    from sklearn.base import BaseEstimator


_ML, _OPSET, _OPSET_ML = "ai.onnx.ml", 18, 3
_OPSET_ML_LATE: Final = 5


def convert(estimator: "BaseEstimator", columns: Sequence[Column]) -> bytes:
    """Convert the whole pipeline, text columns included; raise UnconvertibleError where a step does not convert.

    The graph takes the text columns as one tensor and the others, as doubles, as another: fewer tensors, less work.
    """
    if odd := [c.name for c in columns if c.type != "string" and c.type not in NUMBERS]:
        raise UnconvertibleError(f"ONNX has no type for the columns {', '.join(odd)}")
    try:
        made = _converted(estimator, columns)
        _raise_versions(made)
        _pack(made, columns)
        return bytes(made.SerializeToString())
    except UnconvertibleError:
        raise
    except Exception as error:  # noqa: BLE001 - skl2onnx raises whatever comes to its mind
        first = " ".join((str(error) or type(error).__name__).split())[:200]
        raise UnconvertibleError(f"skl2onnx cannot convert it: {first}") from None


def _converted(estimator: "BaseEstimator", columns: Sequence[Column]) -> "onnx.ModelProto":
    import warnings

    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    register()
    kinds: list[tuple[str, Any]] = [(NUMBERS_INPUT, DoubleTensorType([None, len(columns)]))]
    if _by_name(estimator):
        kinds = [
            (c.name, StringTensorType([None, 1]) if c.type == "string" else DoubleTensorType([None, 1]))
            for c in columns
        ]
    elif any(c.type == "string" for c in columns):
        raise UnconvertibleError("its first step is no ColumnTransformer, and there is text")
    options = {"zipmap": False} if hasattr(estimator, "classes_") else None
    with warnings.catch_warnings(action="ignore"):
        converted: onnx.ModelProto = convert_sklearn(
            estimator,
            name="model",
            initial_types=kinds,
            options=options,
            target_opset={"": _OPSET, _ML: _OPSET_ML, DOMAIN: 1},
        )
    return converted


def _by_name(estimator: "BaseEstimator") -> bool:
    """Tell whether an estimator takes its columns apart, by their names."""
    inner = getattr(estimator, "best_estimator_", estimator)
    steps = getattr(inner, "steps", None)
    return hasattr(steps[0][1] if steps else inner, "transformers_")


def _raise_versions(made: "onnx.ModelProto") -> None:
    """Give our nodes the domain they are of; only a graph that has some is raised to its newer version."""
    from onnx import helper

    ours = [node for node in made.graph.node if node.domain == DOMAIN]
    for node in ours:
        node.domain = _ML
    versions = {o.domain: o.version for o in made.opset_import if o.domain != DOMAIN}
    if ours:
        versions[_ML] = _OPSET_ML_LATE
    del made.opset_import[:]
    made.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in versions.items())


def _pack(made: "onnx.ModelProto", columns: Sequence[Column]) -> None:
    """Put two tensors in the place of one for each column."""
    from onnx import TensorProto, helper

    graph = made.graph
    for output in graph.output:
        output.type.Clear()  # skl2onnx says float where the graph computes doubles; ONNX Runtime finds out by itself
    if [i.name for i in graph.input] == [NUMBERS_INPUT]:
        return
    names = dict(zip([c.name for c in columns], [i.name for i in graph.input], strict=True))
    nodes: list[Any] = []
    inputs: list[Any] = []
    for packed, kind, text in ((TEXTS, TensorProto.STRING, True), (NUMBERS_INPUT, TensorProto.DOUBLE, False)):
        parts = [names[c.name] for c in columns if (c.type == "string") == text]
        if parts:
            if not _whole(graph, packed, parts):
                nodes.append(_split(made, packed, parts))
            inputs.append(helper.make_tensor_value_info(packed, kind, [None, len(parts)]))
    nodes += list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    graph.input.extend(inputs)


def _split(made: "onnx.ModelProto", packed: str, parts: Sequence[str]) -> Any:
    """Return the node that parts a tensor into its columns; its lengths became an input with version 13."""
    from onnx import TensorProto, helper

    version = next(o.version for o in made.opset_import if not o.domain)
    ones = [1] * len(parts)
    if version < 13:
        return helper.make_node("Split", [packed], parts, axis=1, split=ones)
    made.graph.initializer.append(helper.make_tensor(f"{packed}_split", TensorProto.INT64, [len(parts)], ones))
    return helper.make_node("Split", [packed, f"{packed}_split"], parts, axis=1)


def _whole(graph: "onnx.GraphProto", packed: str, parts: Sequence[str]) -> bool:
    """Where a step only puts the parts side by side again, give it the whole instead; tell whether that was so."""
    users = [node for node in graph.node if set(parts) & set(node.input)]
    if len(users) != 1 or users[0].op_type != "Concat" or list(users[0].input) != list(parts):
        return False
    made = users[0].output[0]
    graph.node.remove(users[0])
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == made:
                node.input[place] = packed
    return all(output.name != made for output in graph.output)
