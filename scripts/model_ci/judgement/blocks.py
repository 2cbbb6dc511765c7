"""The blocks of rows that are drawn together, since their rows are not independent."""

from typing import TYPE_CHECKING, Final

from model_ci.config import Config
from model_ci.data import times
from model_ci.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.types import Array, Series

_FEWEST: Final = 20


def blocks(config: Config, rows: "pd.DataFrame") -> "Array | None":
    """Number the block of each held-out row; raise ConfigError when there are too few blocks to draw from."""
    import numpy as np

    sure = config.evaluate.uncertainty
    if sure.block_column:
        key = "block_column"
        if sure.block_column not in rows.columns:
            columns = ", ".join(rows.columns)
            raise ConfigError(
                f"evaluate.uncertainty.block_column: no column {sure.block_column!r}; there are {columns}"
            )
        values = rows[sure.block_column].astype(str).to_numpy()
    elif sure.block_duration:
        key = "block_duration"
        values = _spans(rows[str(config.data.time_column)], sure.block_duration)
    else:
        return None
    numbers = np.unique(values, return_inverse=True)[1].ravel()
    if (many := int(numbers.max()) + 1) < _FEWEST:
        raise ConfigError(
            f"evaluate.uncertainty.{key}: the holdout has {many} blocks, at least {_FEWEST} are needed to draw from; "
            "hold out more, or make the blocks smaller"
        )
    return numbers


def _spans(moments: "Series", duration: str) -> "Array":
    if moments.dtype.kind != "M":
        raise ConfigError(
            f"evaluate.uncertainty.block_duration: {moments.name} counts in numbers without a unit; name a block_column"
        )
    return moments.astype("datetime64[s]").astype("int64").to_numpy() // times.seconds(duration)
