"""The only caller of MLflow: versions of the model, the aliases that say which counts, on any of three stores."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from model_ci.config import Config
from model_ci.errors import ConfigError, ServiceError
from model_ci.git import Branch
from model_ci.registry import registration
from model_ci.registry.branch import BranchStore
from model_ci.registry.client import translated
from model_ci.registry.file import FileStore
from model_ci.registry.integrity import differences, keep_only
from model_ci.registry.pages import ui_command
from model_ci.registry.peek import has_version, peek
from model_ci.registry.registration import as_version, holder
from model_ci.registry.server import ServerStore
from model_ci.registry.store import FOLDER, Store, T, kind_of
from model_ci.registry.version import (
    ATTACHED_TAG,
    CHALLENGER,
    CHAMPION,
    FILES_TAG,
    PREVIOUS,
    Attachment,
    Registered,
    Submission,
    Version,
)
from model_ci.terms import StoreKind

if TYPE_CHECKING:
    from mlflow import MlflowClient


__all__ = [
    "Attachment", "Registered", "Registry", "Submission", "Version", "has_version", "open_registry", "peek",
    "ui_command",
]  # fmt: skip


@contextmanager
def open_registry(config: Config, root: Path, *, in_ci: bool) -> Iterator["Registry"]:
    """Open the store that the configuration and the environment choose; nothing is imported or fetched before use."""
    store = _store(config, root, kind_of(config, in_ci=in_ci))
    try:
        yield Registry(store, config.model.name)
    finally:
        store.close()


def _store(config: Config, root: Path, kind: StoreKind) -> Store:
    name, section = config.model.name, config.register
    match kind:
        case StoreKind.SERVER:
            return ServerStore(name)
        case StoreKind.BRANCH:
            branch = Branch(root=root, name=section.branch, remote=section.remote)
            return BranchStore(branch, name, section.max_file_mb)
    return FileStore(root / FOLDER)


class Registry:
    """The versions of one model in one store."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self.name = name

    @property
    def where(self) -> str:
        """Say which store this is, for people."""
        return self._store.where

    def champion(self) -> Version | None:
        """Return the version that serves."""
        return self._holder(CHAMPION)

    def challenger(self) -> Version | None:
        """Return the version that was registered last."""
        return self._holder(CHALLENGER)

    def previous(self) -> Version | None:
        """Return the version that was champion before."""
        return self._holder(PREVIOUS)

    def versions(self) -> list[Version]:
        """Return all versions, oldest first."""
        registered = self._read(lambda client: client.search_model_versions(f"name = '{self.name}'")) or []
        return sorted((as_version(version) for version in registered), key=lambda version: int(version.number))

    def download(self, version: Version, into: Path) -> Path:
        """Copy the version's model folder to `into` and return it.

        Files that are not, byte for byte, those that were registered are refused, and nothing is left in `into`.
        """
        try:
            expected = json.loads(version.tags[FILES_TAG])
        except (KeyError, ValueError):
            raise ServiceError(
                f"{self.where}: version {version.number} of {self.name} has no list of files, so it cannot be trusted; register a model with model-ci and make it the champion"
            ) from None
        return self._fetched(
            version, "the model", expected, into, lambda client, to: _fetch(client, self.name, version, to)
        )

    def attachment(self, version: Version, name: str, into: Path) -> Path | None:
        """Copy what travels with the version under `name`, such as explain, to `into`; None when it has none.

        What is not, byte for byte, as it was registered is refused, and nothing is left in `into`.
        """
        expected = json.loads(version.tags.get(ATTACHED_TAG, "{}")).get(name)
        if expected is None:
            return None
        return self._fetched(
            version, name, expected, into, lambda client, to: _fetch_attached(client, self.name, version, name, to)
        )

    def _fetched(
        self,
        version: Version,
        what: str,
        expected: Mapping[str, str],
        into: Path,
        fetch: "Callable[[MlflowClient, Path], Path]",
    ) -> Path:
        into.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into.parent, prefix=".download-") as folder:
            got = self._read(lambda client: fetch(client, Path(folder)))
            if got is None:
                raise ServiceError(f"{self.where}: is empty; version {version.number} of {self.name} is not there")
            keep_only(got, expected)
            altered = list(differences(got, expected))
            if altered:
                about = f"{self.where}: {what} of version {version.number} of {self.name}"
                raise ServiceError(*(f"{about}: {text}; it was altered, register the model again" for text in altered))
            shutil.rmtree(into, ignore_errors=True)
            got.rename(into)
        return into

    def register(self, submission: Submission, decide: Callable[[Version | None], bool]) -> Registered:
        """Make a version of a model, `challenger`, and `champion` when `decide(champion)` says so.

        Nobody else changes the store meanwhile. The same run is registered once, however often this is called;
        an interrupted registration is completed. `decide` may be called again when the champion has changed.
        """
        with translated(self.where):
            return self._store.change(
                lambda access: registration.prepare(access, submission),
                lambda access: registration.register(access, self._store.kind, submission, decide),
            )

    def promote(self, number: str) -> tuple[str, str | None]:
        """Make a version the champion, forward or back; return its number and that of the one before it.

        Nothing moves when it is the champion already. Raises ConfigError when there is no such version.
        """
        with translated(self.where):
            return self._store.change(
                lambda access: None, lambda access: registration.promote(access, self.name, number)
            )

    def version(self, number: str) -> Version | None:
        """Return a version by its number, None when there is none."""
        return next((version for version in self.versions() if version.number == number), None)

    def named(self, name: str, where: str) -> Version | None:
        """Return the version that an option `where` names, by its number or as `champion`, of which there may be none.

        Raises ConfigError for a number that is no version's.
        """
        if name == CHAMPION:
            return self.champion()
        if version := self.version(name):
            return version
        there = ", ".join(version.number for version in self.versions()) or "none"
        raise ConfigError(f"{where}: {name!r} is no version of {self.name}; there are {there}")

    def _holder(self, alias: str) -> Version | None:
        return self._read(lambda client: holder(client, self.name, alias))

    def _read(self, work: "Callable[[MlflowClient], T]") -> T | None:
        with translated(self.where):
            return self._store.read(lambda access: work(access.client))


def _fetch(client: "MlflowClient", name: str, version: Version, folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    uri = client.get_model_version_download_uri(name, version.number)
    return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=client.tracking_uri))


def _fetch_attached(client: "MlflowClient", model: str, version: Version, name: str, folder: Path) -> Path:
    run = client.get_model_version(model, version.number).run_id
    return Path(client.download_artifacts(run, f"{registration.ATTACHED}/{name}", str(folder)))
