"""Names for types that several places share."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

# What JSON can hold, read only: a dict of texts and a list of numbers are JSON too.
JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
JSONObject: TypeAlias = Mapping[str, JSON]
# A JSON document of another system, to be built and read: an object of Kubernetes, an answer of AWS, a manifest.
Document: TypeAlias = dict[str, Any]
# Settings as they stand in the file, complete and by the schema of the configuration.
Settings: TypeAlias = Mapping[str, Any]
# A class of the target.
Label: TypeAlias = str | int | float | bool
# A function of the user's, which may take and return anything.
UserFunction: TypeAlias = Callable[..., Any]

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    # Values of any kind: labels, codes, texts, times.
    Array: TypeAlias = NDArray[Any]
    Floats: TypeAlias = NDArray[np.float64]
    Integers: TypeAlias = NDArray[np.int64]
    Series: TypeAlias = pd.Series[Any]
