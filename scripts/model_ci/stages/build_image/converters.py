"""scikit-learn steps as ONNX nodes, where skl2onnx rounds to single precision or knows no categories.

Trees of histogram boosting become the operator TreeEnsemble of ai.onnx.ml 5, in double precision; a split on categories
becomes a membership test. skl2onnx itself writes at most version 3 of that domain, so the nodes carry a domain of their
own until the graph is complete.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from model_ci.errors import ModelCIError
from model_ci.serving.onnx_engine import NULL
from model_ci.types import Document

if TYPE_CHECKING:
    from skl2onnx.common._container import ModelComponentContainer
    from skl2onnx.common._topology import Operator, Scope
    from sklearn.base import BaseEstimator

    from model_ci.types import Array

DOMAIN: Final = "model_ci.late"
_LEQ, _MEMBER = 0, 6  # BRANCH_LEQ and BRANCH_MEMBER of TreeEnsemble's nodes_modes
_LINKS: Final = {
    "HalfSquaredError": "Identity", "AbsoluteError": "Identity", "PinballLoss": "Identity", "HalfPoissonLoss": "Exp",
    "HalfGammaLoss": "Exp",
}  # fmt: skip
_PER_NODE: Final = (
    "nodes_featureids", "nodes_splits", "nodes_modes", "nodes_truenodeids", "nodes_falsenodeids", "nodes_trueleafs",
    "nodes_falseleafs", "nodes_missing_value_tracks_true",
)  # fmt: skip


class UnconvertibleError(ModelCIError):
    """Why a model does not go through ONNX."""


def register() -> None:
    """Teach skl2onnx our converters."""
    from skl2onnx import update_registered_converter
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.preprocessing import OrdinalEncoder

    flags = [True, False]
    update_registered_converter(
        HistGradientBoostingClassifier, "SklearnHistGradientBoostingClassifier", _classifier_shape, _boosting,
        overwrite=True, options={"zipmap": flags, "nocl": flags, "output_class_labels": flags},
    )  # fmt: skip
    update_registered_converter(
        HistGradientBoostingRegressor, "SklearnHistGradientBoostingRegressor", _number_shape, _boosting, overwrite=True
    )
    update_registered_converter(OrdinalEncoder, "SklearnOrdinalEncoder", _codes_shape, _codes, overwrite=True)


def _classifier_shape(operator: "Operator") -> None:
    from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType

    classes, rows = operator.raw_operator.classes_, operator.inputs[0].get_first_dimension()
    kind = Int64TensorType if classes.dtype.kind in "iub" else StringTensorType
    operator.outputs[0].type = kind([rows])
    operator.outputs[1].type = DoubleTensorType([rows, len(classes)])


def _number_shape(operator: "Operator") -> None:
    from skl2onnx.common.data_types import DoubleTensorType

    operator.outputs[0].type = DoubleTensorType([operator.inputs[0].get_first_dimension(), 1])


def _codes_shape(operator: "Operator") -> None:
    from skl2onnx.common.data_types import DoubleTensorType

    wide = sum(given.type.shape[1] for given in operator.inputs)
    operator.outputs[0].type = DoubleTensorType([operator.inputs[0].get_first_dimension(), wide])


class _Graph:
    """The container of skl2onnx, with names made up."""

    def __init__(self, scope: "Scope", container: "ModelComponentContainer") -> None:
        self.scope = scope
        self.container = container

    def add(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        made = output or self.scope.get_unique_variable_name(kind.lower())
        name = self.scope.get_unique_operator_name(kind)
        self.container.add_node(kind, list(inputs), [made], name=name, **attributes)
        return made

    def late(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        return self.add(kind, inputs, output, op_domain=DOMAIN, op_version=1, **attributes)

    def constant(self, kind: int, shape: Sequence[int], values: Sequence[Any]) -> str:
        name: str = self.scope.get_unique_variable_name("constant")
        self.container.add_initializer(name, kind, list(shape), list(values))
        return name


def _codes(scope: "Scope", operator: "Operator", container: "ModelComponentContainer") -> None:
    """OrdinalEncoder on columns of text or numbers, null and the unknown included."""
    encoder, graph = operator.raw_operator, _Graph(scope, container)
    if len(operator.inputs) != len(encoder.categories_) or getattr(encoder, "_infrequent_enabled", False):
        raise UnconvertibleError("OrdinalEncoder: groups rare categories, or its columns come as one")
    if encoder.handle_unknown != "use_encoded_value":
        raise UnconvertibleError("OrdinalEncoder: refuses unknown categories, which ONNX cannot")
    parts = [
        graph.late("LabelEncoder", [given.full_name], **_lookup(given, categories, encoder))
        for given, categories in zip(operator.inputs, encoder.categories_, strict=True)
    ]
    graph.add("Concat", parts, operator.outputs[0].full_name, axis=1)


def _lookup(given: Any, categories: "Array", encoder: Any) -> Mapping[str, Any]:
    from onnx import TensorProto, helper
    from skl2onnx.common.data_types import StringTensorType

    text = isinstance(given.type, StringTensorType)
    null = NULL if text else float("nan")
    keys = [null if _is_null(c) else c for c in categories.tolist()]
    if text and not all(isinstance(key, str) for key in keys):
        raise UnconvertibleError("OrdinalEncoder: a column of text has categories that are no text")
    codes = [float(encoder.encoded_missing_value) if key is null else float(code) for code, key in enumerate(keys)]
    encoded: Any = [str(key).encode() for key in keys] if text else [float(key) for key in keys]
    many, kind = [len(keys)], TensorProto.STRING if text else TensorProto.DOUBLE
    return {
        "keys_tensor": helper.make_tensor("keys", kind, many, encoded),
        "values_tensor": helper.make_tensor("values", TensorProto.DOUBLE, many, codes),
        "default_tensor": helper.make_tensor("default", TensorProto.DOUBLE, [1], [float(encoder.unknown_value)]),
    }


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _boosting(scope: "Scope", operator: "Operator", container: "ModelComponentContainer") -> None:
    """HistGradientBoosting: the trees summed, and the link; few nodes, for each costs what a tree does."""
    from onnx import TensorProto
    from skl2onnx.common.data_types import DoubleTensorType

    model, graph = operator.raw_operator, _Graph(scope, container)
    numbers = operator.inputs[0].full_name
    if not isinstance(operator.inputs[0].type, DoubleTensorType):
        numbers = graph.add("Cast", [numbers], to=TensorProto.DOUBLE)
    many = model.n_trees_per_iteration_
    raw = graph.late("TreeEnsemble", [numbers], n_targets=many, post_transform=0, aggregate_function=1, **_trees(model))
    if hasattr(model, "classes_"):
        _classify(model, graph, raw, operator)
    else:
        loss = type(model._loss).__name__
        if loss not in _LINKS:
            raise UnconvertibleError(f"HistGradientBoostingRegressor: the loss {loss} is not known")
        graph.add(_LINKS[loss], [raw], operator.outputs[0].full_name)


def _classify(model: "BaseEstimator", graph: _Graph, raw: str, operator: "Operator") -> None:
    from onnx import TensorProto

    label, chances = (output.full_name for output in operator.outputs)
    if model.n_trees_per_iteration_ == 1:
        both = graph.add("MatMul", [raw, graph.constant(TensorProto.DOUBLE, [1, 2], [-1.0, 1.0])])
        graph.add("Sigmoid", [both], chances)
    else:
        graph.add("Softmax", [raw], chances, axis=1)
    best = graph.add("ArgMax", [chances], axis=1, keepdims=0)
    if model.classes_.dtype.kind in "iub":
        classes = graph.constant(TensorProto.INT64, [len(model.classes_)], [int(c) for c in model.classes_])
    else:
        classes = graph.constant(TensorProto.STRING, [len(model.classes_)], [str(c).encode() for c in model.classes_])
    graph.add("Gather", [classes, best], label, axis=0)


def _trees(model: "BaseEstimator") -> Document:
    """Return the attributes of TreeEnsemble."""
    from onnx import TensorProto, helper

    sources, categories = _sources(model)
    attributes: dict[str, Any] = {name: [] for name in _PER_NODE}
    attributes |= {"leaf_targetids": [], "leaf_weights": [], "tree_roots": [], "membership_values": []}
    base = model._baseline_prediction.ravel().tolist()
    for predictors in model._predictors:
        for target, tree in enumerate(predictors):
            attributes["tree_roots"].append(len(attributes["nodes_modes"]))
            _Tree(tree, (target, base[target]), sources, categories, attributes).add_root()
        base = [0.0] * len(base)  # the first trees begin with it, as scikit-learn's sum does
    kinds = {
        "nodes_splits": TensorProto.DOUBLE, "leaf_weights": TensorProto.DOUBLE, "nodes_modes": TensorProto.UINT8,
        "membership_values": TensorProto.DOUBLE,
    }  # fmt: skip
    for name, kind in kinds.items():
        attributes[name] = helper.make_tensor(name, kind, [len(attributes[name])], attributes[name])
    if not attributes["membership_values"]:
        del attributes["membership_values"]
    return attributes


def _sources(model: "BaseEstimator") -> tuple[list[int], dict[int, list[float]]]:
    """Return which input column each feature of the trees is, and the categories of those that have some."""
    import numpy as np

    if model._preprocessor is None:
        if model.is_categorical_ is not None and np.any(model.is_categorical_):
            raise UnconvertibleError("HistGradientBoosting: categories without an encoder")
        return list(range(model.n_features_in_)), {}
    category = np.flatnonzero(model.is_categorical_).tolist()
    number = np.flatnonzero(~model.is_categorical_).tolist()
    encoder = model._preprocessor.named_transformers_["encoder"]
    try:
        known = {i: [float(c) for c in values] for i, values in enumerate(encoder.categories_)}
    except (TypeError, ValueError):
        raise UnconvertibleError("HistGradientBoosting: encodes text itself; put an OrdinalEncoder before it") from None
    return [*category, *number], known


class _Tree:
    """One tree, added node by node."""

    def __init__(
        self, tree: Any, target: tuple[int, float], sources: Sequence[int], categories: Mapping[int, Sequence[float]],
        attributes: dict[str, list[Any]],
    ) -> None:  # fmt: skip
        self.tree, self.nodes, (self.target, self.base) = tree, tree.nodes, target
        self.sources, self.categories, self.attributes = sources, categories, attributes

    def add_root(self) -> None:
        if not self.nodes[0]["is_leaf"]:
            self._add(0)
            return
        always = {"nodes_splits": 0.0, "nodes_trueleafs": 1, "nodes_falseleafs": 1}
        leaves = {"nodes_truenodeids": self._leaf(0), "nodes_falsenodeids": self._leaf(0)}
        self._append({**dict.fromkeys(_PER_NODE, 0), **always, **leaves})

    def _add(self, index: int) -> int:
        """Add a split and what is below it; return its place."""
        node = self.nodes[index]
        yes, no, missing = int(node["left"]), int(node["right"]), int(node["missing_go_to_left"])
        split, mode = float(node["num_threshold"]), _LEQ
        if node["is_categorical"]:
            left, mode, split = self._left(node), _MEMBER, 0.0
            if missing:  # what is unknown goes with what is missing, so the other side is named
                known = [c for c in self.categories[int(node["feature_idx"])] if not _is_null(c)]
                left, yes, no, missing = [c for c in known if c not in left], no, yes, 0
            self.attributes["membership_values"] += [*left, float("nan")]
        place = self._append({
            **dict.fromkeys(_PER_NODE, 0), "nodes_featureids": self.sources[int(node["feature_idx"])],
            "nodes_splits": split, "nodes_modes": mode, "nodes_missing_value_tracks_true": missing,
        })  # fmt: skip
        for side, child in (("true", yes), ("false", no)):
            leaf = bool(self.nodes[child]["is_leaf"])
            self.attributes[f"nodes_{side}leafs"][place] = int(leaf)
            self.attributes[f"nodes_{side}nodeids"][place] = self._leaf(child) if leaf else self._add(child)
        return place

    def _left(self, node: Any) -> list[float]:
        """Return the categories that go left, read off the split's bits."""
        bits = self.tree.raw_left_cat_bitsets[int(node["bitset_idx"])].tolist()
        known = self.categories[int(node["feature_idx"])]
        return [c for code, c in enumerate(known) if not _is_null(c) and bits[code // 32] >> (code % 32) & 1]

    def _leaf(self, index: int) -> int:
        self.attributes["leaf_targetids"].append(self.target)
        self.attributes["leaf_weights"].append(float(self.nodes[index]["value"]) + self.base)
        return len(self.attributes["leaf_weights"]) - 1

    def _append(self, values: Mapping[str, Any]) -> int:
        for name in _PER_NODE:
            self.attributes[name].append(values[name])
        return len(self.attributes["nodes_modes"]) - 1
