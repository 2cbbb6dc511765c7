"""The program git, run in a clean environment, without hooks and without questions."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "maintenance.auto=false",
    "gc.auto=0",
    "push.recurseSubmodules=no",
    "push.gpgSign=false",
)
_ALWAYS: Final = tuple(argument for setting in _SETTINGS for argument in ("-c", setting))
_TIMEOUT_S: Final = 900
_TOKENS: Final = ("MODEL_CI_GIT_TOKEN",)
_FOREIGN: Final = r"detected dubious ownership in repository at '(.+)'"
_withheld: dict[str, str] = {}
_trusting: dict[str, str] = {}
_trusted: list[str] = []


class GitFailed(Exception):  # noqa: N818 - never leaves this package
    """What git complained of."""

    def __init__(self, complaint: str) -> None:
        self.complaint = complaint


def withhold_tokens() -> None:
    """Take the tokens that git alone needs out of the environment, before code of the user runs in it."""
    for name in _TOKENS:
        if name in os.environ:
            _withheld[name] = os.environ.pop(name)


def run(
    *arguments: str, at: Path, environment: Mapping[str, str] | None = None, stdin: Iterable[bytes] | None = None
) -> bytes:
    """Run git in a clean environment and return what it prints; raise GitFailed with its complaint.

    A checkout of another owner, as containers and runners have it, is trusted: we run its code anyway.
    """
    try:
        return _run(*arguments, at=at, environment=environment, stdin=stdin)
    except GitFailed as failed:
        foreign = re.search(_FOREIGN, failed.complaint)
        if foreign is None or foreign[1] in _trusted or stdin is not None:
            raise
        _trust(foreign[1])
        again = None if environment is None else {**environment, **_trusting}
        return run(*arguments, at=at, environment=again)


def _trust(folder: str) -> None:
    """Let every git that we start, and those that these start, take the folder for the user's own."""
    import atexit
    import shutil
    import tempfile

    if not _trusting:
        home = Path(tempfile.mkdtemp(prefix="model-ci-git-config-"))
        owner = os.getpid()

        def remove() -> None:
            if os.getpid() == owner:  # a child that was forked ends, too
                shutil.rmtree(home, ignore_errors=True)

        atexit.register(remove)
        _trusting["GIT_CONFIG_GLOBAL"] = str(home / "config")
    _trusted.append(folder)
    before = os.environ.get("GIT_CONFIG_GLOBAL")
    own = [f"{os.environ.get('XDG_CONFIG_HOME') or '~/.config'}/git/config", "~/.gitconfig"]
    included = [before] if before else own if os.environ.get("HOME") else []
    lines = [f"[include]\n\tpath = {_quoted(file)}\n" for file in included]
    lines += [f"[safe]\n\tdirectory = {_quoted(name)}\n" for name in _trusted]
    Path(_trusting["GIT_CONFIG_GLOBAL"]).write_text("".join(lines), encoding="utf-8")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _run(
    *arguments: str, at: Path, environment: Mapping[str, str] | None = None, stdin: Iterable[bytes] | None = None
) -> bytes:
    import subprocess  # takes longer to import than most commands take

    try:
        process = subprocess.Popen(
            ["git", "--no-optional-locks", *_ALWAYS, *arguments],
            cwd=at,
            env=clean_environment() if environment is None else dict(environment),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError:
        raise GitFailed("git: command not found" if at.is_dir() else f"{at}: no such folder") from None
    with process:
        try:
            if stdin is not None and process.stdin is not None:
                with process.stdin as pipe:
                    pipe.writelines(stdin)
                process.stdin = None
            out, err = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise GitFailed(f"git {arguments[0]}: timed out after {_TIMEOUT_S} s") from None
        except BrokenPipeError:
            process.stdin = None
            out, err = process.communicate()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise GitFailed("\n".join(text.decode(errors="replace").strip() for text in (out, err)).strip())
    return out


def clean_environment() -> dict[str, str]:
    """Return the environment without what points git elsewhere, in English, and without questions to a terminal."""
    kept = ("GIT_SSH", "GIT_SSL", "GIT_ASKPASS", "GIT_PROXY", "GIT_CONFIG_", "GIT_HTTP", "GIT_TRACE", "GIT_CURL")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key.startswith(kept)}
    return clean | _trusting | _withheld | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "LANGUAGE": "C"}
