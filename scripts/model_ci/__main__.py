"""The process: results and exceptions become the exit code; nothing else ends it."""

import errno
import os
import signal
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Final

from model_ci import output
from model_ci.errors import Exit, ModelCIError, UserCodeError

_NOT_WRITABLE: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if find_spec("fcntl") is None:
        print(f"model-ci runs on Linux and macOS, not on {sys.platform}; use WSL or a container", file=sys.stderr)
        sys.exit(Exit.CONFIG)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.stdout, sys.stderr = output.guarded(sys.stdout), output.guarded(sys.stderr)
    _require_home()
    sys.exit(exit_code(sys.argv[1:]))


def _require_home() -> None:
    """Give a process without a home one, as container engines do: libraries will not be imported without."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"


def exit_code(arguments: list[str]) -> int:
    """Run the command line; return the exit code, having shown what went wrong."""
    from model_ci import cli, git

    git.withhold_tokens()
    try:
        return cli.main(arguments)
    except ModelCIError as error:
        if isinstance(error, UserCodeError) and error.traceback:
            print(error.traceback, end="", file=sys.stderr)
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; what was complete is kept, run the same command again to go on", file=sys.stderr)
        return Exit.INTERRUPTED
    except OSError as error:
        if error.errno not in _NOT_WRITABLE or error.filename is None:
            return _bug()
        print(f"{error.filename}: {error.strerror}; make it accessible, or free space there", file=sys.stderr)
        return Exit.CONFIG
    except Exception:  # noqa: BLE001 - the last line of defence: whatever is left is ours to mend
        return _bug()


def _bug() -> int:
    traceback.print_exc()
    print("This is a bug in model-ci. Please report it with the lines above.", file=sys.stderr)
    return Exit.BUG


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
