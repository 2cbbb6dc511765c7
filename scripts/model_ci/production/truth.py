"""The classes behind a log's numbered probabilities."""

from typing import TYPE_CHECKING

from model_ci.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl


def classes(rows: "pl.DataFrame", truth: str, many: int, where: str) -> list[object]:
    """Return the classes in the model's order, sorted, from what was predicted and what was true.

    Raises ConfigError, which names `where`, when these are not as many as the probabilities.
    """
    seen = set(rows["_prediction"].drop_nulls()) | set(rows[truth].drop_nulls())
    if len(seen) != many or len({type(s) for s in seen}) != 1:
        found = ", ".join(map(repr, sorted(seen, key=str)[:10])) or "none"
        raise ConfigError(
            f"{where}: the model has {many} classes, predictions and outcomes name {found}; use a metric of labels"
        )
    return sorted(seen)
