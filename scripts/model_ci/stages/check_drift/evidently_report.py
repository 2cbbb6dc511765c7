"""Evidently's own page on a sample of either side, for those who know how to read it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model_ci.errors import ConfigError
from model_ci.profile.profile import Column

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def write(file: Path, reference: "pa.Table", window: "pa.Table", columns: Sequence[Column]) -> None:
    """Write the page; raise ConfigError when Evidently is not installed, or does not import beside this pandas."""
    import os
    import warnings

    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings(action="ignore"):
        try:
            from evidently import DataDefinition, Dataset, Report
            from evidently.presets import DataDriftPreset
        except ImportError as error:
            raise ConfigError(
                f"check-drift.evidently_report: Evidently cannot be imported: {error}; pip install 'model-ci[drift-report]'"
            ) from None
        shown = [c for c in columns if c.name in window.column_names and c.name in reference.column_names]
        frames = [_frame(side, shown) for side in (reference, window)]
        empty = [c.name for c in shown if any(frame[c.name].isna().all() for frame in frames)]
        kept = [c for c in shown if c.name not in empty]  # it refuses a column without a value
        definition = DataDefinition(
            numerical_columns=[c.name for c in kept if c.grid is not None],
            categorical_columns=[c.name for c in kept if c.grid is None],
        )
        names = [c.name for c in kept]
        sets = [Dataset.from_pandas(frame[names], data_definition=definition) for frame in frames]
        Report([DataDriftPreset()], include_tests=True).run(sets[1], sets[0]).save_html(str(file))


def _frame(side: "pa.Table", columns: Sequence[Column]) -> "pd.DataFrame":
    frame: pd.DataFrame = side.to_pandas()
    for column in columns:
        if column.grid is None:
            values = frame[column.name].astype(object)
            frame[column.name] = values.where(values.isna(), values.astype(str))
        else:
            frame[column.name] = frame[column.name].astype(float) if column.family == "number" else frame[column.name]
    return frame
