"""`python -m model_ci.serving`: the settings come from the environment."""

import os
import sys
from collections.abc import Sequence

from model_ci.serving.refusal import StartError
from model_ci.serving.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """Serve; return 0 after a drain, 2 when the service must not start. SageMaker starts it with the argument `serve`."""
    from model_ci.serving import server

    if list(arguments) not in ([], ["serve"]):
        sys.stderr.write(f"the service takes its settings from MODEL_CI_* variables. Got {' '.join(arguments)!r}.\n")
        return 2
    try:
        return server.serve(Settings.read(os.environ))
    except StartError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
