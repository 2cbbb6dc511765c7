"""The types that more than one room uses and no library gives a name."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

# What JSON can hold, read only: a dict of texts and a list of numbers are JSON too.
JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
JSONObject: TypeAlias = Mapping[str, JSON]
