"""MLflow without a server: a file store, kept as the only commit of a branch.

A change is made on a copy of the branch and pushed only if the branch is still at the commit that was copied. When
somebody else was faster, the change is made again on a copy of theirs. All versions' files are kept, so what the
registry lists is there; the branch has no history, so the repository holds each file once.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from model_ci.errors import ConfigError, ServiceError
from model_ci.git import Branch, wait
from model_ci.registry.champion import champions_in
from model_ci.registry.file import LOCATION, LOCK, FileStore
from model_ci.registry.location import artifacts_uri, relocate
from model_ci.registry.store import Access, T
from model_ci.terms import StoreKind

NOWHERE: Final = "file:///model-ci-store/artifacts"
_TRIES: Final = 60
_CHAMPION: Final = "Champion of "


class BranchStore:
    """A branch with mlflow.db and artifacts/."""

    kind = StoreKind.BRANCH

    def __init__(self, branch: Branch, model: str, max_file_mb: float) -> None:
        self.where = f"registry branch '{branch.name}'"
        self._branch = branch
        self._model = model
        self._max_file_mb = max_file_mb
        self._copy: _Copy | None = None

    def read(self, work: Callable[[Access], T]) -> T | None:
        """Call `work` with a copy of the branch, the one of the change when there is a change under way."""
        if self._copy is None:
            self._copy = _Copy(self._branch)
        return self._copy.store.read(work)

    def change(self, prepare: Callable[[Access], None], work: Callable[[Access], T]) -> T:
        """Call both with a copy of the branch until the result can be pushed; nothing new is not pushed."""
        for attempt in range(_TRIES):
            self.close()
            self._copy = copy = _Copy(self._branch)
            result = copy.store.change(prepare, work)
            if copy.unchanged() or self._push(copy):
                return result
            wait(attempt)
        raise ServiceError(f"{self.where}: {_TRIES} times another run was faster; run `model-ci register` again later")

    def close(self) -> None:
        """Remove the copy."""
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    def _push(self, copy: "_Copy") -> bool:
        self._check_sizes(copy.folder)
        copy.pack()
        message = write_message(self._model, champions_in(copy.store.database))
        return self._branch.replace(copy.folder, copy.commit, message) is not None

    def _check_sizes(self, folder: Path) -> None:
        limit = self._max_file_mb * 2**20
        large = [(file, file.stat().st_size) for file in folder.rglob("*") if file.is_file()]
        too_large = [
            f"{self.where}: {file.relative_to(folder)}: has {size / 2**20:.1f} MiB, register.max_file_mb allows "
            f"{self._max_file_mb:g}; use an MLflow server (set MLFLOW_TRACKING_URI), or keep the model small, with large "
            "files on a DVC remote"
            for file, size in large
            if size > limit
        ]
        if too_large:
            raise ConfigError(*too_large)


class _Copy:
    """A copy of the branch in a temporary folder."""

    def __init__(self, branch: Branch) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="model-ci-store-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name).resolve()
        self.commit = branch.fetch(self.folder)
        self.store = FileStore(self.folder)
        self.store.settle()
        self._begin = self._writes()

    def unchanged(self) -> bool:
        """Tell whether nothing was written."""
        return self._writes() == self._begin

    def pack(self) -> None:
        """Make the folder what the branch holds: whole, small, and of no place."""
        self.store.close()
        relocate(self.store.database, artifacts_uri(self.folder), NOWHERE)
        with closing(sqlite3.connect(self.store.database)) as connection:
            connection.execute("VACUUM")
        (self.folder / LOCATION).write_text(NOWHERE, encoding="utf-8")
        (self.folder / LOCK).unlink()

    def close(self) -> None:
        """Remove the folder."""
        self.store.close()
        self._temporary.cleanup()

    def _writes(self) -> bytes:
        """Return SQLite's own count of the changes to the database, which stands in its header."""
        if not self.store.database.is_file():
            return b""
        with self.store.database.open("rb") as handle:
            return handle.read(28)[24:]


def write_message(model: str, champions: Mapping[str, str]) -> str:
    """Say in the commit's message who is champion of each model, so that nobody needs the files to know."""
    lines = [f"{_CHAMPION}{name}: {champion}" for name, champion in champions.items()]
    return "\n".join([f"Keep the models of {model}", "", *lines]).strip()


def read_message(message: str) -> dict[str, str]:
    """Return the champion of each model, as the commit's message says."""
    lines = [line.removeprefix(_CHAMPION) for line in message.splitlines() if line.startswith(_CHAMPION)]
    return {name: champion for name, _, champion in (line.partition(": ") for line in lines)}
