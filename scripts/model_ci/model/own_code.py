"""The user's own code: which of it a model is made of, and a space in which a model finds its own copy of it alone."""

import ast
import functools
import importlib
import os
import shutil
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_OURS: Final = Path(__file__).resolve().parents[2]
_LARGEST: Final = 1 << 20  # of a file in a package that is not Python


def modules(names: Iterable[str], root: Path) -> dict[str, Path]:
    """Return the user's top-level modules and packages behind `names`, and all that these import, by their names.

    Reads the imports from the text. What was imported under a computed name counts where it lies below `root`.
    """
    waiting = [*names, *(name for name, module in _own_modules().items() if _is_below(module, root))]
    places: dict[str, Path] = {}
    while waiting:
        top = waiting.pop().partition(".")[0]
        place = None if not top or top in places else _place(top)
        if place is not None and not is_library(place):
            places[top] = place
            for file in [place] if place.is_file() else sorted(place.rglob("*.py")):
                waiting += imported(file, top)
    return dict(sorted(places.items()))


def imports(places: Mapping[str, Path]) -> list[str]:
    """Return the names of what modules and packages import, their own among them."""
    files = (
        file for place in places.values() for file in ([place] if place.is_file() else sorted(place.rglob("*.py")))
    )
    return sorted({name for file in files for name in imported(file) if name})


def copy(places: Mapping[str, Path], folder: Path) -> None:
    """Copy modules and whole packages into `folder`; of files in a package that are not Python, the small ones."""
    for place in places.values():
        if place.is_file():
            shutil.copyfile(place, folder / place.name)
        else:
            shutil.copytree(place, folder / place.name, ignore=_left_out)


def differences(stored: Path | None, root: Path) -> list[str]:
    """Return the files of a model's stored code that differ from those of the working tree, or stand in one of the two."""
    if stored is None or not stored.is_dir():
        return []
    tops = {place.stem if place.is_file() else place.name: place for place in stored.iterdir()}
    now = {name: place for name, place in modules(tops, root).items() if name in tops}
    with tempfile.TemporaryDirectory() as copied:
        copy(now, Path(copied))
        then, today = _contents(stored), _contents(Path(copied))
    return sorted(name for name in then.keys() | today.keys() if then.get(name) != today.get(name))


def _contents(folder: Path) -> dict[str, bytes]:
    files = (f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in files}


def imported(file: Path, package: str = "") -> list[str]:
    """Return the absolute names that a file imports, and those that may be modules or what a module holds."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return []
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.ImportFrom):
            names.append(package)
    return names


def is_library(path: Path) -> bool:
    """Tell whether a file belongs to Python, to an installed distribution, or to model-ci."""
    places = _library_places(tuple(sys.path))
    return str(path).startswith(places) or f"{path.resolve()}{os.sep}".startswith(places)


@contextmanager
def space(code: Path | None) -> Iterator[None]:
    """Let imports find the model's `code` and libraries, and nothing else of the user's, for as long as the block lasts.

    The modules of the working tree are put back afterwards.
    """
    kept, path, finders = _own_modules(), sys.path[:], sys.meta_path[:]
    enter(code)
    try:
        yield
    finally:
        for name in _own_modules():
            del sys.modules[name]
        sys.modules.update(kept)
        sys.path[:], sys.meta_path[:] = path, finders
        importlib.invalidate_caches()


def enter(code: Path | None) -> None:
    """Forget the user's modules, and look for others in the model's `code` and in libraries from now on."""
    for name in _own_modules():
        del sys.modules[name]
    libraries = [entry for entry in sys.path if entry and is_library(Path(entry))]
    sys.path[:] = [*([str(code)] if code else []), *libraries]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_editable(finder)]
    importlib.invalidate_caches()


def _own_modules() -> dict[str, ModuleType]:
    return {name: m for name, m in list(sys.modules.items()) if (place := _file(m)) and not is_library(place)}


def _file(module: Any) -> Path | None:
    """Return where a module lies; None for what is built in, and for the program itself."""
    if getattr(module, "__name__", "__main__") in ("__main__", "__mp_main__"):
        return None
    file = getattr(module, "__file__", None)
    if not file:
        file = next(iter(getattr(module, "__path__", ())), None)  # a package without __init__.py
    return Path(file) if isinstance(file, str) else None


def _is_below(module: ModuleType, root: Path) -> bool:
    place = _file(module)
    return place is not None and place.resolve().is_relative_to(root.resolve())


def _place(top: str) -> Path | None:
    """Return the file of a module, or the folder of a package; None where there is none."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        return None
    if folders := list(spec.submodule_search_locations or ()):
        return Path(folders[0])
    return Path(spec.origin) if spec.has_location and spec.origin else None


@functools.lru_cache(maxsize=8)
def _library_places(path: tuple[str, ...]) -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    folders |= {entry for entry in path if entry and (entry.endswith(".zip") or _has_distributions(entry))}
    resolved = {str(Path(folder).resolve()) for folder in folders} | {str(_OURS)}
    return tuple(f"{folder}{os.sep}" for folder in folders | resolved)


def _has_distributions(entry: str) -> bool:
    return next(Path(entry).glob("*.dist-info"), None) is not None


def _is_editable(finder: Any) -> bool:
    """Tell whether a finder is setuptools' for a project that is installed from its folder; ours stays."""
    name = str(getattr(finder, "__module__", ""))
    return name.startswith("__editable__") and "model_ci" not in getattr(sys.modules.get(name), "MAPPING", {})


def _left_out(folder: str, names: list[str]) -> list[str]:
    files = ((name, Path(folder, name)) for name in names)
    return [
        name
        for name, path in files
        if name.startswith(".")
        or name == "__pycache__"
        or (path.is_file() and path.suffix not in (".py", ".so") and path.stat().st_size > _LARGEST)
    ]
