"""A model in a process of its own: it sees its own code and libraries, never the working tree, and cannot change our rows.

One host per invocation imports the libraries once and forks a process for each model. It starts before any of the user's
code is imported; where libraries are in use already, which a fork could not share safely, it is a fresh interpreter.
"""

import atexit
import contextlib
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NoReturn

from model_ci import entrypoint
from model_ci.errors import ConfigError, ModelCIError, UserCodeError
from model_ci.types import Label

_LIBRARIES: Final = ("numpy", "pandas", "sklearn", "skops.io", "cloudpickle")
_THREADED: Final = ("sklearn", "xgboost", "lightgbm", "catboost", "torch", "tensorflow", "jax")
_HOST: "list[_Host]" = []


def start(libraries: Iterable[str] = ()) -> None:
    """Start the host, unless it runs; `libraries` are those that this process is going to import as well."""
    if not _HOST:
        _HOST.append(_Host(tuple(libraries)))


class ModelProcess:
    """A model that another process has loaded."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self._name = connection, name

    def call(self, work: str, *arguments: Any) -> Any:
        """Let the model's process do a piece of work, a function of `model_ci.model.questions`; return its result.

        Raises what it raises, and UserCodeError when the process ends.
        """
        try:
            self._connection.send((work, self._name, arguments))
            kind, value, traceback = self._connection.recv()
        except (EOFError, OSError):
            raise UserCodeError(
                f"{self._name}: the model's process ended before it answered; see its last lines above, and the memory that it needs"
            ) from None
        if kind == "result":
            return value
        raise UserCodeError(*value, traceback=traceback) if kind == "user" else ConfigError(*value)


@contextmanager
def opened(folder: Path, positive: Label | None, name: str) -> Iterator[ModelProcess]:
    """Load a saved model in a process of its own, for as long as the block lasts.

    The files must have been checked. Raises UserCodeError, which begins with its `name`, when the model cannot be loaded
    with its own code.
    """
    start()
    try:
        descriptor = _HOST[0].fork()
    except OSError:  # the host was ended, as by a system that is short of memory
        _HOST.clear()
        start()
        descriptor = _HOST[0].fork()
    with Connection(descriptor) as connection:
        asked = ModelProcess(connection, name)
        asked.call("load", str(folder), positive, str(Path.cwd()), dict(os.environ))
        yield asked


class _Host:
    """The process that forks; it ends with this one."""

    def __init__(self, libraries: tuple[str, ...]) -> None:
        ours, theirs = socket.socketpair()
        self._channel, self._owner = ours, os.getpid()
        with theirs:
            if _may_fork():
                _import(libraries)
                self._wait = _forked(theirs)
            else:
                code = "import sys; from model_ci.model import process; process.serve(int(sys.argv[1]))"
                command = [sys.executable, "-P", "-c", code, str(theirs.fileno())]
                self._wait = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL).wait
        atexit.register(self._end)

    def fork(self) -> int:
        """Have a process forked; return the descriptor of the connection to it."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            socket.send_fds(self._channel, [b"f"], [theirs.fileno()])
            return ours.detach()

    def _end(self) -> None:
        if os.getpid() == self._owner:
            self._channel.close()
            with contextlib.suppress(ChildProcessError):
                self._wait()


def serve(channel: int) -> NoReturn:
    """Be the host, in an interpreter of its own."""
    _import(())
    _host(socket.socket(fileno=channel))


def _may_fork() -> bool:
    """Tell whether a fork of this process is as good as a fresh one: no thread works in it, nor has any library's."""
    used = any(name in sys.modules for name in _THREADED)
    return sys.platform == "linux" and threading.active_count() == 1 and not used


def _forked(channel: socket.socket) -> Callable[[], object]:
    pid = _fork()
    if pid == 0:
        _host(channel)
    return lambda: os.waitpid(pid, 0)


def _host(channel: socket.socket) -> NoReturn:
    """Fork a process for each descriptor that is sent, until the other side is closed; then end them all."""
    pids: set[int] = set()
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever interrupts us closes the channel
        os.dup2(2, 1)
        _close_others(channel.fileno())
        gc.freeze()  # the collector does not touch what was imported, so that its pages stay shared
        while True:
            message, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
            if not message:
                break
            if (pid := _fork()) == 0:
                channel.close()
                _answer(descriptors[0])
            os.close(descriptors[0])
            pids = {other for other in (*pids, pid) if os.waitpid(other, os.WNOHANG)[0] == 0}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    finally:
        os._exit(0)


def _answer(descriptor: int) -> NoReturn:
    """Do the work that is sent until the other side is closed."""
    from model_ci.model import questions

    loaded: list[Any] = []
    try:
        with Connection(descriptor) as connection, contextlib.suppress(EOFError, OSError):
            while True:
                work, name, arguments = connection.recv()
                if work == "load":
                    connection.send(_done(name, lambda: loaded.append(_load(*arguments))))  # noqa: B023 - called at once
                else:
                    connection.send(_done(name, lambda: getattr(questions, work)(*loaded, *arguments)))  # noqa: B023
    finally:
        os._exit(0)


def _load(folder: str, positive: Label | None, current: str, environment: dict[str, str]) -> Any:
    from model_ci.model import own_code, predictor, saved

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(current)
    own_code.enter(saved.code_folder(Path(folder)))
    return predictor.load(Path(folder), positive)


def _done(name: str, work: Callable[[], Any]) -> tuple[str, Any, str]:
    try:
        with entrypoint.told_as_theirs(f"{name}: asking the model failed"):
            return "result", work(), ""
    except UserCodeError as error:
        return "user", error.problems, error.traceback
    except ModelCIError as error:
        return "config", error.problems, ""


def _import(libraries: Iterable[str]) -> None:
    """Import what the models need; what cannot be imported is missed where it is used."""
    with warnings.catch_warnings(action="ignore"):
        for name in (*_LIBRARIES, *libraries):
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _fork() -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings(action="ignore"):  # idle threads of a numeric library survive a fork
        return os.fork()


def _close_others(kept: int) -> None:
    """Close what was inherited, such as locks that would be held for as long as we live."""
    for descriptor in {int(entry.name) for entry in Path("/dev/fd").iterdir()} - {0, 1, 2, kept}:
        with contextlib.suppress(OSError):
            os.close(descriptor)
