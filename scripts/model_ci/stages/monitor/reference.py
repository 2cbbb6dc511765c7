"""What the predictions are held to: the quality that a registered version had when it was evaluated."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from model_ci import registry
from model_ci.config import Config
from model_ci.frozen import dataclass
from model_ci.gates.quality import FILE, FOLDER, Quality
from model_ci.run import Run

if TYPE_CHECKING:
    from model_ci.record_types import MonitorReference


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A version, and what it was worth on rows that it did not learn from."""

    version: str
    run_id: str | None
    quality: Quality

    def as_record(self) -> "MonitorReference":
        """Return it as it stands in a run's record."""
        return {"version": self.version, "run_id": self.run_id, "rows": self.quality.made["rows"]}


def find(config: Config, run: Run) -> Reference | str:
    """Find the version that `monitor.quality.version` names, or tell why there is nothing to hold to.

    Raises ConfigError for a number that is none of the model's.
    """
    with (
        registry.open_registry(config, config.root, in_ci=run.in_ci) as store,
        tempfile.TemporaryDirectory() as scratch,
    ):
        version = store.named(config.monitor.quality.version, "monitor.quality.version")
        if version is None:
            return f"there is no champion in {store.where}; register one, or give the gates min or max alone"
        folder = store.attachment(version, FOLDER, Path(scratch) / FOLDER)
        if folder is None or not (folder / FILE).is_file():
            return (
                f"version {version.number} of {config.model.name} has no quality with it; "
                "register a model that this version of model-ci evaluated"
            )
        quality = Quality.from_bytes((folder / FILE).read_bytes(), f"version {version.number}")
        return Reference(version=version.number, run_id=version.run_id or None, quality=quality)
