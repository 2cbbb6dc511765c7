"""The rows of a prediction log on their way to a frame."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


class FrameBuilder:
    """Rows of requests, until they are taken; `columns` are those of the inputs with their types."""

    def __init__(self, columns: Mapping[str, Any], prediction: Any, classes: Sequence[str]) -> None:
        import polars as pl

        self._columns = tuple(columns)
        self._classes = len(classes)
        self._schema = dict(columns) | {
            "_time": pl.Datetime("ms", "UTC"),
            "_request_id": pl.String(),
            "_row": pl.Int64(),
            "_variant": pl.String(),
            "_version": pl.String(),
            "_user": pl.String(),
            "_prediction": prediction,
            **{f"_probability_{name}": pl.Float64() for name in classes},
            "_duration_ms": pl.Float64(),
        }
        self._values: list[list[Any]] = [[] for _ in self._schema]

    def __len__(self) -> int:
        return len(self._values[-1])

    def add(self, request: Mapping[str, Any]) -> None:
        """Take the rows of a request."""
        at = {name: i for i, name in enumerate(map(str, request["columns"]))}
        places = [at.get(name) for name in self._columns]
        version, user = request.get("version"), request.get("user")
        probabilities = request.get("probabilities") or [[]] * len(request["inputs"])
        empty = [None] * self._classes
        head = (request["time"], request["request_id"])
        middle = (_text(request["variant"]), _text(version), _text(user))
        for index, (row, answered) in enumerate(zip(request["inputs"], request["outputs"], strict=True)):
            chances = (list(probabilities[index]) + empty)[: self._classes]
            values = [None if i is None else row[i] for i in places]
            values += [*head, index, *middle, answered, *chances, request.get("duration_ms")]
            for column, value in zip(self._values, values, strict=True):
                column.append(value)

    def take(self) -> "pl.DataFrame":
        """Return what was added as a frame, and begin anew."""
        import polars as pl

        named = zip(self._schema.items(), self._values, strict=True)
        frame = pl.DataFrame(
            [_series(name, [*map(_text, v)] if dtype == pl.String else v, dtype) for (name, dtype), v in named]
        )
        self._values = [[] for _ in self._schema]
        return frame


def _series(name: str, values: Sequence[Any], dtype: Any) -> "pl.Series":
    import polars as pl

    return pl.Series(name, values, dtype=dtype, strict=False)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
