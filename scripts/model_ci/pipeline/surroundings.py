"""What the user's code may depend on beside a stage's own inputs: every file, imported module, package and declared variable."""

import functools
import glob
import hashlib
import json
import os
import platform
import site
import sys
import sysconfig
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci import git
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.pipeline.fingerprint import sha256
from model_ci.run import Run, sections
from model_ci.stages import Stage

if TYPE_CHECKING:
    from model_ci.record_types import Section

CODE: Final = "code"
MODULES: Final = "modules"
ENVIRONMENT: Final = "environment"
_VARIABLE: Final = "variable "
_OURS: Final = Path(__file__).resolve().parents[1]
_MOST_FILES: Final = 1000  # that a record names
_SHOWN: Final = 3
_INSTALLED: Final = ("site-packages", "dist-packages")


class Surroundings:
    """What is around the user's code in this process, looked up once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.checkout = git.Checkout(config.root)
        self._installed = self.packages  # before code of the user changes where Python looks

    @property
    def folder(self) -> str:
        """The configuration's folder below the checkout's top; empty at the top and outside a repository."""
        folder = self.config.root.resolve().relative_to(self.checkout.top.resolve())
        return "" if folder == Path() else folder.as_posix()

    def inputs(self, stage: Stage, run: Run) -> dict[str, Any]:
        """Return what the stage's result may depend on; nothing for a stage that runs no code of the user."""
        if stage.code is None:
            return {}
        section = run.section(stage.name)
        known = section.get("modules", {}) if section else {}
        return {
            CODE: self.files(stage.code),
            MODULES: {name: _module_hash(name) for name in known},
            ENVIRONMENT: self._installed,
            **{f"{_VARIABLE}{name}": _hashed(os.environ.get(name)) for name in self.config.train.env},
        }

    def record(self, stage: Stage) -> dict[str, Any]:
        """Return what the stage's section keeps, so that a later run can name what changed; call it after the stage ran."""
        if stage.code is None:
            return {}
        files = self.files(stage.code) if self._globs(stage.code) else self._without_inputs(self.checkout.uncommitted())
        return {"code_changes": files if len(files) <= _MOST_FILES else None, MODULES: self._imported(stage.code)}

    def changed(self, name: str, stage: Stage, run: Run) -> list[str]:
        """Say in words what changed of an input since the run's stage."""
        section = sections(run.record)[stage.name]
        words: Sequence[str] = ()
        if name == CODE:
            words = self._changed_files(stage, section)
        elif name == MODULES:
            words = [n for n, value in section.get("modules", {}).items() if _module_hash(n) != value]
        elif name == ENVIRONMENT:
            words = _changed_packages(run.record["environment"].get("packages") or {}, self._installed)
        elif name.startswith(_VARIABLE):
            words = [f"the {name}"]
        if len(words) > _SHOWN:
            return [*words[: _SHOWN - 1], f"{len(words) - _SHOWN + 1} more"]
        return list(words) or [name if name != CODE else "the code"]

    def files(self, section: str) -> dict[str, str]:
        """Return the content's hash of each file that counts for the stages that the section narrows."""
        if globs := self._globs(section):
            return self._named(section, globs)
        outside = self._python_path() if self.config.train.command else {}
        return {**self._without_inputs(self.checkout.files()), **outside}

    @cached_property
    def packages(self) -> dict[str, str]:
        """Return Python and what is installed, with versions; what is installed from a folder counts by its content."""
        installed = {"python": platform.python_version()}
        for folder in self._package_folders():
            for entry in sorted(path.name for path in folder.iterdir()):
                name, _, kind = entry.rpartition(".")
                if kind in ("dist-info", "egg-info", "egg-link") and not name.startswith("model_ci-"):
                    package, _, version = name.partition("-")
                    installed.setdefault(package.lower(), version + self._origin(folder / entry))
        return installed

    def _globs(self, section: str) -> Sequence[str]:
        return self.config.train.code if section == "train" else self.config.evaluate.code

    def _named(self, section: str, globs: Sequence[str]) -> dict[str, str]:
        root = self.config.root
        files = sorted({file for pattern in globs for file in root.glob(pattern) if file.is_file()})
        if not files:
            raise ConfigError(
                f"{self.config.file}: {section}.code: {', '.join(globs)} match no file; correct the globs"
            )
        return {file.relative_to(root).as_posix(): git.hash_of(file) or "" for file in files}

    def _without_inputs(self, files: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out the configuration, whose sections count by themselves, and the data that it names."""
        names, folders = self._declared
        return {
            path: value for path, value in files.items() if path not in names and not path.startswith(tuple(folders))
        }

    @cached_property
    def _declared(self) -> tuple[set[str], set[str]]:
        config = self.config
        paths = [
            config.file, config.data.path, config.check_data.contract, config.check_drift.rows,
            config.check_drift.reference, config.monitor.predictions, config.monitor.outcomes,
            config.compare_variants.predictions, config.compare_variants.outcomes,
        ]  # fmt: skip
        names, folders = set(), set()
        for path in filter(None, paths):
            pattern = os.path.normpath(config.root / path)
            for match in {pattern, *glob.glob(pattern, recursive=True)}:  # noqa: PTH207 - an absolute pattern
                name = Path(os.path.relpath(match, self.checkout.top)).as_posix()
                names.add(name)
                if Path(match).is_dir():
                    folders.add(f"{name}/")
        return names, folders - {"./"}

    def _python_path(self) -> dict[str, str]:
        """Return the modules that a command may import from outside the checkout."""
        folders = [Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
        return {
            str(file): git.hash_of(file) or ""
            for folder in folders
            if folder.is_dir() and not folder.is_relative_to(self.checkout.top)
            for file in git.walk(folder)
            if file.suffix == ".py"
        }

    def _package_folders(self) -> Iterator[Path]:
        for entry in dict.fromkeys(sys.path):
            folder = Path(entry or ".").resolve()
            inside = folder.is_relative_to(self.checkout.top)
            if folder.is_dir() and (folder.name in _INSTALLED or not inside):
                yield folder

    def _origin(self, package: Path) -> str:
        """Return what tells two installations of one version apart: the content of the folder, the commit, the archive."""
        if package.suffix == ".egg-link":
            return self._content(Path(package.read_text(encoding="utf-8").splitlines()[0].strip()))
        try:
            text = (package / "direct_url.json").read_text(encoding="utf-8")
            where = json.loads(text)
        except (OSError, ValueError):
            return ""
        if where.get("dir_info", {}).get("editable"):
            return self._content(Path(urllib.parse.unquote(urllib.parse.urlsplit(where["url"]).path)))
        return f" {_hashed(text)}"

    def _content(self, folder: Path) -> str:
        if folder.resolve().is_relative_to(self.checkout.top):
            return " editable"
        return f" editable {sha256(git.tree(folder))[:16]}"

    def _imported(self, section: str) -> dict[str, str]:
        """Return the imported modules that neither the packages nor the files of the checkout account for."""
        covered = None if self._globs(section) else self.checkout.files()
        return {
            (name if _locate(name) == file else str(file)): _file_hash(file)
            for name, file in sorted(_module_files())
            if not (file.is_relative_to(self.checkout.top) and self._covers(file, covered))
        }

    def _covers(self, file: Path, covered: Mapping[str, str] | None) -> bool:
        return covered is None or file.relative_to(self.checkout.top).as_posix() in covered

    def _changed_files(self, stage: Stage, section: "Section") -> list[str]:
        before = section.get("code_changes")
        if before is None:
            return []
        if self._globs(str(stage.code)):
            return git.changes(before, self.files(str(stage.code)))
        names = self.checkout.changed_since(section["code_commit"], before)
        return sorted(self._without_inputs(dict.fromkeys(names)))


def _changed_packages(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    if not before:
        return []
    return [
        f"{name} {_version(before.get(name))} -> {_version(now.get(name))}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def _version(text: str | None) -> str:
    return text.split(" ")[0] if text else "absent"


def _module_files() -> Iterator[tuple[str, Path]]:
    """Yield the imported modules outside of the standard library, of what is installed, and of model-ci."""
    library = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}
    outside = {*library, _OURS, *_sites()}

    @functools.cache  # thousands of modules stand in a few hundred folders
    def counted(folder: str) -> Path | None:
        place = Path(folder).resolve()
        installed = any(part in _INSTALLED for part in place.parts)
        return None if installed or not outside.isdisjoint((place, *place.parents)) else place

    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or name in ("__main__", "__mp_main__"):
            continue
        real = os.path.realpath(file) if os.path.islink(file) else file  # noqa: PTH114 - ten times as fast
        folder, _, base = real.rpartition(os.sep)
        if place := counted(folder or (os.sep if real.startswith(os.sep) else ".")):
            yield name, place / base


def _sites() -> list[Path]:
    return [Path(folder).resolve() for folder in (*site.getsitepackages(), sysconfig.get_path("purelib"))]


def _module_hash(name: str) -> str | None:
    file = Path(name) if name.startswith("/") else _find(name)
    return _file_hash(file) if file else None


def _find(name: str) -> Path | None:
    """Return where a module is or would be imported from."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    return Path(loaded) if isinstance(loaded, str) else _locate(name)


def _locate(name: str) -> Path | None:
    """Return where a module would be imported from, without running any of its packages."""
    path = None
    spec = None
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        specs = (finder.find_spec(".".join(parts[:i]), path) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec), None)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return Path(spec.origin).resolve() if spec and spec.origin else None


def _file_hash(file: Path) -> str:
    """Hash a module's file; of one in an archive, the archive."""
    with suppress(StopIteration):
        file = next(path for path in (file, *file.parents) if path.is_file())
    return git.hash_of(file) or ""


def _hashed(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()
