"""Names for types that the service's modules share."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

# One value that a caller sent or a model returned: of any kind until it is checked.
Value: TypeAlias = Any
Values: TypeAlias = Sequence[Value]
Columns: TypeAlias = Mapping[str, Values]
# A mapping of JSON, to be written or read: a body, a manifest, a description.
Document: TypeAlias = dict[str, Any]
Record: TypeAlias = Mapping[str, Any]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    # Values of any type: labels, rows, probabilities.
    Array: TypeAlias = NDArray[Any]
