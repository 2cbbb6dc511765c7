"""The command line: arguments in, exit code out; nothing heavy is imported before a stage needs it."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from model_ci import __version__
from model_ci.stages import STAGES

_COMMANDS: Final = {
    "run": "Run the stages in sequence; skip what is unchanged.",
    "check-config": "Check model-ci.yaml, and nothing else.",
    "init": "Write a first model-ci.yaml for this repository, and its workflow.",
    "comment": "Put a run's report into the pull or merge request, as one comment that is kept up to date.",
    "notify": "Open an issue for each stage that failed, close it when it passes again, and notify a chat.",
    "remove": "Stop and remove all that serves in an environment.",
    "selftest": "Plant bad models and bad data before your gates, and show whether they are refused.",
    "serve": "Serve a run's model, or the champion, on this machine.",
    "ui": "Open MLflow's pages on the model store.",
}
_GROUPS: Final = {
    "Set up": ("init", "check-config", "selftest"),
    "Train and ship a model; unchanged stages are skipped": (
        "run",
        *(stage.name for stage in STAGES.values() if stage.line == "model"),
    ),
    "Check or change the running service; never cached": (
        *(stage.name for stage in STAGES.values() if stage.line == "operation"),
        "remove",
    ),
    "On your machine": ("serve", "ui"),
    "On the platform": ("comment", "notify"),
}
_EXIT_CODES: Final = (
    "Exit codes: 0 passed, 1 a bug, 2 configuration, 3 a verdict failed, 4 your code failed,\n"
    "5 an external service refused or cannot be reached, 130 interrupted."
)


def main(arguments: Sequence[str]) -> int:
    """Parse and obey; return the exit code."""
    parsed = _parser(next(iter(arguments), "")).parse_args(arguments)
    return int(parsed.main(parsed))


def _parser(chosen: str) -> argparse.ArgumentParser:
    """Build the parser; only the `chosen` command is imported and declares its options."""
    parser = argparse.ArgumentParser(
        prog="model-ci",
        usage="model-ci [-h] [--version] command ...",
        description="From a commit to a monitored service, and back to training when the world changes.",
        epilog=f"{_commands()}\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"model-ci {__version__}")
    commands = parser.add_subparsers(required=True, prog="model-ci", metavar="command", help=argparse.SUPPRESS)
    texts = _texts()
    for name, text in ({chosen: texts[chosen]} if chosen in texts else texts).items():
        command = commands.add_parser(name, description=text, allow_abbrev=False)
        if name != chosen:
            continue
        if name in STAGES:
            module = import_module("model_ci.commands.run")
            module.add_stage_arguments(command, name)
        else:
            module = import_module(f"model_ci.commands.{name.replace('-', '_')}")
            module.add_arguments(command)
        command.set_defaults(main=module.main)
    return parser


def _texts() -> dict[str, str]:
    return _COMMANDS | {stage.name: stage.does for stage in STAGES.values()}


def _commands() -> str:
    """List the commands by what they are for."""
    texts = _texts()
    lines = []
    for title, names in _GROUPS.items():
        lines += [f"{title}:", *(f"  {name:<17} {texts[name]}" for name in names), ""]
    return "\n".join(lines)
