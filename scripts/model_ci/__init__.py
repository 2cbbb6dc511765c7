"""From a commit to a gated, registered, recorded model."""

from typing import Final

__version__: Final = "0.1.0"
