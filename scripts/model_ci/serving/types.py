"""Names for types that the service's modules share."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

# A mapping of JSON, to be written or read: a body, a manifest, a description.
Document: TypeAlias = dict[str, Any]
Record: TypeAlias = Mapping[str, Any]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    # Values of any type: labels, rows, probabilities.
    Array: TypeAlias = NDArray[Any]
