"""Which rows a model has learnt from: how many and of which times, and a filter that recognizes each of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.data import identity
from model_ci.data.bloom import Bloom
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from model_ci.record_types import TrainSection
    from model_ci.types import JSON, Settings

    Mask = npt.NDArray[np.bool_]

TAG: Final = "model_ci.learnt"
FOLDER: Final = "training-rows"  # of the run, and among what is registered with a version
_FILE: Final = "training-rows.json"
_VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The rows of one training that no earlier layer has: how many, and by which columns they are recognized."""

    columns: Sequence[str]
    rows: int
    bloom: Bloom


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """The rows that a model has learnt from, and those of the models that it went on from, the oldest first.

    `declared` says whether a key names the rows, or only their own values do.
    """

    layers: Sequence[Layer]
    declared: bool

    @classmethod
    def of(
        cls, rows: "pd.DataFrame", columns: Sequence[str], *, declared: bool, before: "TrainingRows | None" = None
    ) -> "TrainingRows":
        """Take the rows of a training; `before` is what the model knew that it went on from."""
        import numpy as np

        hashes = identity.hashes(rows, columns)
        if before is not None and not before.lacking(rows):
            hashes = hashes[~before.contain(rows)]
        layer = Layer(columns=tuple(columns), rows=len(np.unique(hashes)), bloom=Bloom.of(hashes))
        return cls(layers=(*(before.layers if before else ()), layer), declared=declared)

    @classmethod
    def read(cls, folder: Path, where: str) -> "TrainingRows":
        """Read what `write` wrote; raise ConfigError when it cannot be read."""
        try:
            record = json.loads((folder / _FILE).read_bytes())
            version = record["schema_version"]
            if version == _VERSION:
                layers = [_layer(folder, layer) for layer in record["layers"]]
                return cls(layers=layers, declared=record["declared"])
            wrong = f"they are of version {version}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            wrong = str(error)
        raise ConfigError(
            f"{where}: its training rows cannot be read: {wrong}; register a model with this version of model-ci"
        )

    def write(self, folder: Path) -> None:
        """Write the filters, two bytes a row, and what they are filters of."""
        layers = []
        for i, layer in enumerate(self.layers):
            name = f"{i}.bloom"
            (folder / name).write_bytes(layer.bloom.to_bytes())
            layers.append({"file": name, "columns": list(layer.columns), "rows": layer.rows})
        record = {"schema_version": _VERSION, "declared": self.declared, "layers": layers}
        (folder / _FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def as_record(self) -> "dict[str, JSON]":
        """Describe the filter, as it stands in a run's record."""
        return {
            "columns": list(self.layers[-1].columns),
            "rows": sum(layer.rows for layer in self.layers),
            "layers": len(self.layers),
            "false_positives": self.false_positives,
        }

    @property
    def false_positives(self) -> float:
        """The chance that a row which was never learnt from is taken for one that was."""
        unknown = 1.0
        for layer in self.layers:
            unknown *= 1 - layer.bloom.false_positives
        return 1 - unknown

    def lacking(self, rows: "pd.DataFrame") -> list[str]:
        """Return the columns that rows are recognized by, and that these do not have."""
        names = dict.fromkeys(name for layer in self.layers for name in layer.columns)
        return [name for name in names if name not in rows.columns]

    def contain(self, rows: "pd.DataFrame") -> "Mask":
        """Return for each row whether it was learnt from; now and then one that was not is taken for one that was."""
        import numpy as np

        known: dict[tuple[str, ...], Any] = {}
        learnt = np.zeros(len(rows), dtype=np.bool_)
        for layer in self.layers:
            columns = tuple(layer.columns)
            if columns not in known:
                known[columns] = identity.hashes(rows, columns)
            learnt |= layer.bloom.contains(known[columns])
        return learnt

    def beyond_chance(self, recognized: int, among: int) -> bool:
        """Whether so many recognized rows are more than false positives explain, by four standard deviations."""
        expected = among * self.false_positives
        return bool(recognized > expected + 4 * expected**0.5 + 1)


def _layer(folder: Path, record: "Settings") -> Layer:
    bloom = Bloom.from_bytes((folder / record["file"]).read_bytes())
    return Layer(columns=record["columns"], rows=record["rows"], bloom=bloom)


def written(section: "TrainSection") -> str:
    """Return the tag's text, by the section of `train`."""
    data = section["data"]
    return json.dumps({name: data.get(name) for name in ("boundary", "first", "last", "rows", "train_rows")})


def read(tags: Mapping[str, str]) -> "Settings | None":
    """Return what the tag holds; None where there is no such tag."""
    try:
        content = json.loads(tags[TAG])
    except (KeyError, ValueError):
        return None
    return content if isinstance(content, dict) else None
