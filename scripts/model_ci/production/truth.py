"""The classes behind a log's numbered probabilities."""

from typing import TYPE_CHECKING

from model_ci.errors import ConfigError
from model_ci.serving import classes as naming

if TYPE_CHECKING:
    import polars as pl


def classes(rows: "pl.DataFrame", truth: str, many: int, where: str) -> list[str]:
    """Return the names of the classes in the model's order, from what was predicted and what was true.

    The predictions decide how classes are sorted: text as text, all others as numbers. Raises ConfigError, which names
    `where`, when there are not as many classes as probabilities.
    """
    import polars as pl

    predicted, true = (naming.ordered(rows[column].unique().to_list()) for column in ("_prediction", truth))
    values = {naming.name(value): value for value in [*true, *predicted]}
    if len(values) != many:
        shown = ", ".join(sorted(repr(value) for value in values.values())[:10]) or "none"
        raise ConfigError(
            f"{where}: the model has {many} classes, predictions and outcomes name {shown}; use a metric of labels"
        )
    as_text = rows["_prediction"].dtype == pl.String
    ordered = naming.ordered(str(value) if as_text else _number(value) for value in values.values())
    return [str(naming.name(value)) for value in ordered]


def named(values: "pl.Series") -> "pl.Series":
    """Return the name of each value's class, null where there is no value."""
    import polars as pl

    distinct = values.unique().drop_nulls()
    names = [naming.name(value) for value in distinct.to_list()]
    return values.replace_strict(distinct, pl.Series(names, dtype=pl.String), default=None, return_dtype=pl.String)


def _number(value: object) -> object:
    """Return a class that a table holds as text as the number that the model means by it, where it is one."""
    name = str(naming.name(value))
    try:
        return int(name)
    except ValueError:
        pass
    try:
        return float(name)
    except ValueError:
        return value
