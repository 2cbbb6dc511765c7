"""The process: results and exceptions become the exit code; nothing else ends it."""

import signal
import sys
import traceback
from types import FrameType

from model_ci.errors import Exit, ModelCIError, UserCodeError


def main() -> None:
    """Run the command line and end the process with its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(exit_code(sys.argv[1:]))


def exit_code(arguments: list[str]) -> int:
    """Run the command line; return the exit code, having told what went wrong."""
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
    except Exception:  # noqa: BLE001 - the last line of defence: whatever is left is ours to mend
        traceback.print_exc()
        print("This is a bug in model-ci. Please report it with the lines above.", file=sys.stderr)
        return Exit.BUG


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
