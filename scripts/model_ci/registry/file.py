"""The store in a folder: SQLite and artifacts, changed by one process at a time."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci.errors import ConfigError
from model_ci.files import write_atomically
from model_ci.registry.client import connect, dispose
from model_ci.registry.location import artifacts_uri, relocate
from model_ci.registry.store import Access, T, local_uri
from model_ci.terms import StoreKind

if TYPE_CHECKING:
    from mlflow import MlflowClient


DATABASE: Final = "mlflow.db"
LOCATION: Final = "location"
LOCK: Final = "lock"
_PARTIAL: Final = ".partial.db"


class FileStore:
    """A folder with mlflow.db and artifacts/."""

    kind = StoreKind.FILE

    def __init__(self, folder: Path) -> None:
        self.where = f"registry {folder}"
        self.folder = folder
        self.database = folder / DATABASE
        self._client: MlflowClient | None = None

    def read(self, work: Callable[[Access], T]) -> T | None:
        """Call `work`, unless nothing was ever registered."""
        return work(self._access()) if self.database.is_file() else None

    def change(self, prepare: Callable[[Access], None], work: Callable[[Access], T]) -> T:
        """Call both under the folder's lock, which the kernel frees when the process dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder / LOCK):
            if not self.database.is_file():
                self._create()
            access = self._access()
            prepare(access)
            return work(access)

    def settle(self) -> None:
        """Follow the folder when it was moved since the last time."""
        if not self.database.is_file():
            return
        here, note = artifacts_uri(self.folder), self.folder / LOCATION
        before = note.read_text(encoding="utf-8") if note.is_file() else here
        if before != here:
            relocate(self.database, before, here)
        if before != here or not note.is_file():
            write_atomically(note, here.encode())

    def close(self) -> None:
        """Close the database, so that the folder may be moved or removed."""
        if self._client is not None:
            dispose(self._client)
            self._client = None

    def _access(self) -> Access:
        if self._client is None:
            self.settle()
            self._client = self._connect()
        return Access(client=self._client, artifacts=artifacts_uri(self.folder))

    def _connect(self) -> "MlflowClient":
        try:
            return connect(local_uri(self.database))
        except Exception as error:
            if "out-of-date database schema" not in str(error):
                raise
        self._upgrade()
        return connect(local_uri(self.database))

    def _upgrade(self) -> None:
        """Bring a database that another MLflow wrote up to this one's schema: a copy first, then all at once."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".upgrade-") as folder:
            copy = Path(folder) / DATABASE
            shutil.copyfile(self.database, copy)
            command = [sys.executable, "-m", "mlflow", "db", "upgrade", local_uri(copy)]
            process = subprocess.run(command, capture_output=True, text=True, check=False)
            if process.returncode:
                last = process.stderr.strip().splitlines()[-1:] or ["nothing"]
                raise ConfigError(
                    f"{self.where}: was written by another MLflow, and this one cannot upgrade it (it said: {last[0]}); install the MLflow that wrote it, or a newer one"
                )
            with closing(sqlite3.connect(copy)) as new, closing(sqlite3.connect(self.database)) as old:
                new.backup(old)

    def _create(self) -> None:
        """Make the database whole under another name first: MLflow cannot go on with one that is half made."""
        for left in self.folder.glob(f"*{_PARTIAL}*"):
            left.unlink()
        handle, name = tempfile.mkstemp(suffix=_PARTIAL, dir=self.folder)
        os.close(handle)
        dispose(connect(local_uri(Path(name))))
        # MLflow's default experiment would keep its artifacts below the folder we happen to be in.
        relocate(Path(name), str(Path.cwd() / "mlruns"), artifacts_uri(self.folder))
        Path(name).replace(self.database)


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    with lock.open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
