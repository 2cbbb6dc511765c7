"""What makes a row the same row: the columns of its key, or those that a model sees, and their hash."""

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from model_ci.config import Data
from model_ci.data import rowhash

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.data.rowhash import RowHashes


def columns(data: Data, features: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that identify a row: `data.holdout.key`, or all that a model of these features depends on.

    The target is not among them. A row whose label was corrected is still the same row, and rows would otherwise be
    left out of a comparison by whether a model remembers their labels rightly.
    """
    if data.holdout.key:
        return tuple(sorted(data.holdout.key))
    besides = (data.time_column, data.holdout.group)
    return tuple(sorted({*features, *(name for name in besides if name)}))


def hashes(frame: "pd.DataFrame", names: Sequence[str]) -> "RowHashes":
    """Return the hash of each row by the columns `names`."""
    import polars as pl

    return rowhash.of_rows(rowhash.of_columns(pl.from_pandas(frame[list(names)])), names)


def digest(frame: "pd.DataFrame", names: Sequence[str]) -> str:
    """Return the identity of a set of rows: the same whatever their order, and whatever other columns they have."""
    import numpy as np

    rows = np.sort(hashes(frame, names))
    text = json.dumps({"columns": list(names), "rows": len(rows)}).encode()
    return hashlib.sha256(text + rows.astype("<u8").tobytes()).hexdigest()
