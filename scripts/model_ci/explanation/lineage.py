"""From which input column each encoded column comes, read off the structure of fitted scikit-learn transformers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from model_ci.errors import ModelCIError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


_ONE_TO_ONE: Final = {
    "Binarizer", "MaxAbsScaler", "MinMaxScaler", "OrdinalEncoder", "PowerTransformer", "QuantileTransformer",
    "RobustScaler", "StandardScaler",
}  # fmt: skip
_EQUAL_BLOCKS: Final = {"SplineTransformer", "TargetEncoder"}


class UnknownLineageError(ModelCIError):
    """The structure does not prove where an encoded column comes from."""


def trace(transformer: "BaseEstimator", sources: Sequence[int], width: int | None) -> list[int]:
    """Return for each of the `width` columns that a fitted transformer makes the input column it comes from.

    `sources` are the input columns of what it is given. Raises UnknownLineageError where several columns may meet in one.
    """
    if transformer is None or transformer == "passthrough":
        return list(sources)
    name = type(transformer).__name__
    if len(set(sources)) == 1 and width is not None:
        return [sources[0]] * width  # whatever it does, it sees nothing else
    if not type(transformer).__module__.startswith("sklearn."):
        raise UnknownLineageError(f"what {name} does with its columns is not known")
    origins = _known(transformer, name, sources, width)
    if width is not None and len(origins) != width:
        raise UnknownLineageError(f"{name} makes {width} columns, its structure tells of {len(origins)}")
    return origins


def _known(transformer: "BaseEstimator", name: str, sources: Sequence[int], width: int | None) -> list[int]:
    if name in _ONE_TO_ONE:
        return list(sources)
    match name:
        case "Pipeline":
            return _chain([step for _, step in transformer.steps], sources, width)
        case "ColumnTransformer":
            return _columns(transformer, sources)
        case "FeatureUnion":
            return _union(transformer, sources)
        case "OneHotEncoder":
            return _blocks(sources, list(transformer._n_features_outs))
        case "KBinsDiscretizer":
            each = 1 if transformer.encode == "ordinal" else transformer.n_bins_
            return _blocks(sources, [each] * len(sources) if isinstance(each, int) else list(each))
        case "SimpleImputer":
            return _imputed(transformer, sources)
        case "MissingIndicator":
            return [sources[i] for i in transformer.features_]
        case "FunctionTransformer":
            return _function(transformer, sources)
    if name in _EQUAL_BLOCKS and width is not None and width % len(sources) == 0:
        return _blocks(sources, [width // len(sources)] * len(sources))
    if hasattr(transformer, "get_support"):
        return [sources[i] for i in transformer.get_support(indices=True)]
    raise UnknownLineageError(f"{name} may mix its columns")


def _chain(steps: "Sequence[BaseEstimator]", sources: Sequence[int], width: int | None) -> list[int]:
    widths = [getattr(step, "n_features_in_", None) for step in steps[1:]] + [width]
    for step, made in zip(steps, widths, strict=True):
        sources = trace(step, sources, made)
    return list(sources)


def _columns(transformer: "BaseEstimator", sources: Sequence[int]) -> list[int]:
    slices = transformer.output_indices_
    origins = [-1] * max((part.stop for part in slices.values()), default=0)
    for name, step, _ in transformer.transformers_:
        part, given = slices[name], transformer._transformer_to_input_indices[name]
        if part.stop > part.start:
            origins[part] = trace(step, [sources[i] for i in given], part.stop - part.start)
    return origins


def _union(transformer: "BaseEstimator", sources: Sequence[int]) -> list[int]:
    origins: list[int] = []
    for _, step in transformer.transformer_list:
        if step != "drop":
            width = None if step == "passthrough" else len(step.get_feature_names_out())
            origins += trace(step, sources, width)
    return origins


def _imputed(imputer: "BaseEstimator", sources: Sequence[int]) -> list[int]:
    """An imputer leaves out columns that were all empty, and may add one for each with gaps."""
    import numpy as np

    empty = [isinstance(s, float) and np.isnan(s) for s in imputer.statistics_]
    kept = [s for s, gone in zip(sources, empty, strict=True) if imputer.keep_empty_features or not gone]
    return kept + ([sources[i] for i in imputer.indicator_.features_] if imputer.add_indicator else [])


def _function(transformer: "BaseEstimator", sources: Sequence[int]) -> list[int]:
    import numpy as np

    function = transformer.func
    if function is None or (isinstance(function, np.ufunc) and function.nin == 1):
        return list(sources)
    raise UnknownLineageError(f"the function {getattr(function, '__name__', function)} may mix its columns")


def _blocks(sources: Sequence[int], widths: Sequence[int]) -> list[int]:
    return [source for source, width in zip(sources, widths, strict=True) for _ in range(width)]
