"""The program git, run in a clean environment, without hooks and without questions."""

import os
import subprocess
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
_withheld: dict[str, str] = {}


class GitFailed(Exception):  # noqa: N818 - never leaves this package
    """What git complained of."""

    def __init__(self, said: str) -> None:
        self.said = said


def withhold_tokens() -> None:
    """Take the tokens that git alone needs out of the environment, before code of the user runs in it."""
    for name in _TOKENS:
        if name in os.environ:
            _withheld[name] = os.environ.pop(name)


def run(
    *arguments: str, at: Path, environment: Mapping[str, str] | None = None, stdin: Iterable[bytes] | None = None
) -> bytes:
    """Run git in a clean environment and return what it prints; raise GitFailed with what it complains."""
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
    return clean | _withheld | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "LANGUAGE": "C"}
