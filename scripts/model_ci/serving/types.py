"""Names for the types that several modules of the service share."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

# One value that a caller sent or a model returned: of any kind until it is checked.
Value: TypeAlias = Any
Values: TypeAlias = Sequence[Value]
Columns: TypeAlias = Mapping[str, Values]
# An object of JSON.
Object: TypeAlias = dict[str, Value]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
