"""The user's own code: `module:function` loaded and called, their exceptions told as theirs."""

import ast
import importlib
import inspect
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_ci.errors import ConfigError, UserCodeError
from model_ci.types import UserFunction

if TYPE_CHECKING:
    pass


_STANDARD_ERROR = 2
_OURS = str(Path(__file__).parent)


def load(name: str, root: Path, where: str) -> UserFunction:
    """Import `module:function` from `root` or from the environment.

    Raises ConfigError when there is no such module or function, UserCodeError when importing it fails.
    """
    module_name, _, function_name = name.partition(":")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    with told_as_theirs(f"{where}: importing {module_name} failed"):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise
            raise ConfigError(
                f"{where}: no module {error.name!r} in {root} or among the installed packages; correct the name"
            ) from None
    function = getattr(module, function_name, None)
    if not callable(function):
        public = [n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__]
        raise ConfigError(
            f"{where}: {module_name} has no function {function_name!r}; it has {', '.join(public) or 'none'}"
        )
    return function  # type: ignore[no-any-return]


def call(
    function: UserFunction, parameters: Mapping[str, Any], offered: Mapping[str, Any], where: str, key: str
) -> Any:
    """Call the user's function with `parameters`, and with those of `offered` that its signature names.

    Raises ConfigError when the parameters do not fit the signature (`key` is where they stand in the file),
    UserCodeError when the function raises.
    """
    arguments = dict(parameters)
    accepted = inspect.signature(function).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    names = [n for n, p in accepted.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    problems = [
        f"{key}.{n}: {where} takes no such parameter; it takes {', '.join(names) or 'none'}"
        for n in arguments
        if n not in names and not open_ended
    ]
    problems += [f"{key}.{n}: is given by model-ci; leave it out" for n in arguments if n in offered and n in names]
    arguments |= {n: v for n, v in offered.items() if n in names}
    problems += [
        f"{key}: {where} needs '{n}'; add it"
        for n in names
        if n not in arguments and accepted[n].default is inspect.Parameter.empty
    ]
    if problems:
        raise ConfigError(*problems)
    with told_as_theirs(f"train: {where} raised"):
        return function(**arguments)


def run_command(command: str, root: Path, environment: Mapping[str, str], timeout_s: float | None) -> None:
    """Run the user's `train.command` in `root`, its output on standard error.

    Raises UserCodeError when it fails or takes too long; it and all it started are ended then.
    """
    # The one place with a shell: the command is the user's own, from the user's own file.
    process = subprocess.Popen(  # noqa: S602
        command, shell=True, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=_STANDARD_ERROR,
        start_new_session=True,
    )  # fmt: skip
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise UserCodeError(
            f"train.command: was ended after {timeout_s:g} s; make it faster, or raise train.timeout_s"
        ) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code:
        raise UserCodeError(f"train.command: ended with exit code {code}; its messages stand above")


@contextmanager
def told_as_theirs(what: str) -> Iterator[None]:
    """Turn an exception of the user's code into a UserCodeError whose traceback begins in their file."""
    try:
        yield
    except (KeyboardInterrupt, ConfigError, UserCodeError):
        raise
    except BaseException as error:  # noqa: BLE001 - sys.exit() in a user's code is a failure of it, not an end of ours
        frames = traceback.extract_tb(error.__traceback__)
        first = next((i for i, f in enumerate(frames) if not _is_machinery(f.filename)), len(frames))
        lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames[first:])]
        lines += traceback.format_exception_only(error)
        last = traceback.format_exception_only(error)[-1].strip()
        raise UserCodeError(f"{what}: {last}; mend your code", traceback="".join(lines)) from None


def sources(name: str, root: Path) -> list[Path]:
    """Return the files below `root` that make up an entry point: its module and what that imports, transitively.

    Reads the imports from the text and runs nothing, so an import made at run time under a computed name is missed.
    """
    files: dict[Path, None] = {}
    waiting = [name.partition(":")[0]]
    while waiting:
        module = waiting.pop()
        for file in _files(module, root):
            if file not in files:
                files[file] = None
                waiting += _imports(file, module)
    return sorted(files)


def libraries(name: str | None, root: Path) -> list[str]:
    """Return the installed modules that an entry point's files import when they are imported themselves."""
    files = sources(name, root) if name else []
    own = {file.relative_to(root).parts[0].removesuffix(".py") for file in files}
    names = {n for file in files for n in _imports(file, "", deferred=False) if n.partition(".")[0] not in own}
    return sorted(names)


def _files(module: str, root: Path) -> list[Path]:
    parts = module.split(".")
    packages = [root.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)]
    return [f for f in (*packages, root.joinpath(*parts).with_suffix(".py")) if f.is_file()]


def _imports(file: Path, module: str, *, deferred: bool = True) -> list[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:
        return []
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    names: list[str] = []
    for node in ast.walk(tree) if deferred else tree.body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [n for n in names if n]


def _is_machinery(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib")) or "/importlib/" in filename
