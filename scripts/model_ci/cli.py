"""The command line: arguments in, exit code out; nothing heavy is imported before a stage needs it."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from model_ci import __version__
from model_ci.stages import STAGES

_COMMANDS: Final = {
    "run": "Run the stages in their order; skip what is unchanged.",
    "check-config": "Check model-ci.yaml, and nothing else.",
    "init": "Write a first model-ci.yaml for this repository, and its workflow.",
    "comment": "Put a run's report into the pull or merge request, as one comment that is kept up to date.",
    "notify": "Open an issue for each stage that said no, close it when it says yes again, and tell a chat.",
    "remove": "Stop and remove all that serves in an environment.",
    "selftest": "Plant bad models and bad data before your gates, and show whether they are refused.",
    "serve": "Serve a run's model, or the champion, on this machine.",
    "ui": "Open MLflow's pages on the model store.",
}


def main(arguments: Sequence[str]) -> int:
    """Parse and obey; return the exit code."""
    parsed = _parser(next(iter(arguments), "")).parse_args(arguments)
    return int(parsed.main(parsed))


def _parser(chosen: str) -> argparse.ArgumentParser:
    """Build the parser; only the `chosen` command is imported and declares its options."""
    parser = argparse.ArgumentParser(
        prog="model-ci",
        description="From a commit to a monitored service, and back to training when the world changes.",
        epilog="Exit codes: 0 yes, 1 a bug, 2 configuration, 3 the verdict is no, 4 your code failed, "
        "5 an outside service refused, 130 interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"model-ci {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name == chosen:
            module = import_module(f"model_ci.commands.{name.replace('-', '_')}")
            module.add_arguments(command)
            command.set_defaults(main=module.main)
    for stage in STAGES.values():
        command = commands.add_parser(stage.name, help=stage.does, description=stage.does, allow_abbrev=False)
        if stage.name == chosen:
            run = import_module("model_ci.commands.run")
            run.add_stage_arguments(command, stage.name)
            command.set_defaults(main=run.main)
    return parser
