"""Programs in a clean environment of their own, with no orphans and no way to a network for git."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Final

GIT_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_AUTHOR_NAME": "ci",
    "GIT_AUTHOR_EMAIL": "ci@example.invalid",
    "GIT_COMMITTER_NAME": "ci",
    "GIT_COMMITTER_EMAIL": "ci@example.invalid",
}
_PASSED_ON: Final = ("UV_", "PIP_", "SSL_CERT", "REQUESTS_CA")  # where packages come from


def environment(home: Path, temporary: Path) -> dict[str, str]:
    """Return what a runner's process sees: nothing of the caller's but PATH and the ways to packages."""
    passed_on = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    return {
        **passed_on,
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(temporary),
        **GIT_ENVIRONMENT,
    }


def run(command: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout_s: float) -> CompletedProcess[str]:
    """Run a program in its own session; at the time-out it ends with every child it has."""
    process = subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return CompletedProcess(command, process.returncode, out, err)
