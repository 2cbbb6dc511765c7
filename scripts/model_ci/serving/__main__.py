"""`python -m model_ci.serving`: the settings come from the environment."""

import os
import sys

from model_ci.serving.refusal import StartError
from model_ci.serving.settings import Settings


def main() -> int:
    """Serve; return 0 after a drain, 2 when the service must not start."""
    from model_ci.serving import server

    try:
        return server.serve(Settings.read(os.environ))
    except StartError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
