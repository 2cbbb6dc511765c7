"""deploy, promote and rollback: their own words for the configuration, and the plan that changes nothing."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from model_ci import ci, git
from model_ci.config import Config
from model_ci.errors import ConfigError, Exit
from model_ci.files import write_atomically
from model_ci.release import promotion, reversal
from model_ci.run import Run, of_this_version, run_folders
from model_ci.stages import STAGES
from model_ci.stages.deploy import stage as deploy

if TYPE_CHECKING:
    from model_ci.record_types import Record


PLANS: Final = {"deploy": deploy.plan, "promote": promotion.plan, "rollback": reversal.plan}
# What each option sets.
_OPTIONS: Final = {
    "deploy": {
        "environment": ("deploy.environment", "NAME", "where to (deploy.environment)"),
        "weight": ("deploy.weight", "PERCENT", "share of the requests; below 100 as the challenger (deploy.weight)"),
    },
    "promote": {
        "to": ("promote.to", "NAME", "whose champion it becomes (promote.to)"),
        "from": ("promote.source", "NAME", "where it serves now (the environment's source)"),
        "version": ("promote.version", "NUMBER", "which version (what serves there)"),
    },
    "rollback": {
        "environment": ("rollback.environment", "NAME", "which one goes back (promote.to)"),
    },
}


def add_arguments(parser: argparse.ArgumentParser, stage: str) -> None:
    """Declare what says where and what."""
    for option, (path, metavar, text) in _OPTIONS[stage].items():
        parser.add_argument(
            f"--{option}",
            dest="overrides",
            action="append",
            metavar=metavar,
            help=text,
            type=_setting(path, text=option),
        )
    parser.add_argument("--dry-run", action="store_true", dest="plan", help="say what would be done, and do nothing")
    if stage == "deploy":
        parser.add_argument(
            "--render", default="", metavar="FOLDER", help="write the target's files there, and do nothing"
        )


def _setting(path: str, text: str) -> Any:
    """Turn an option's value into a setting of the configuration; an empty one sets nothing."""

    def setting(value: str) -> str:
        value = value.strip()
        return f"{path}={value if path.endswith('weight') else repr(value)}" if value else ""

    setting.__name__ = text
    return setting


def main(arguments: argparse.Namespace, config: Config) -> int:
    """Print the plan, or write the files."""
    stage = arguments.stages
    STAGES[stage].check(config)
    run = _run(config, arguments, STAGES[stage].line)
    if getattr(arguments, "render", ""):
        folder = Path(arguments.render)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in deploy.render(config, run).items():
            write_atomically(folder / name, text.encode())
            print(folder / name)
        return Exit.YES
    lines = PLANS[stage](config, run)
    print("\n".join(lines) if lines else "nothing to do: it is as it is wanted")
    return Exit.YES


def _run(config: Config, arguments: argparse.Namespace, line: str) -> Run:
    """Return the run that a deployment is of; for an operation, one that is only thought of."""
    folders = [folder for folder in reversed(run_folders(config.root)) if of_this_version(folder)]
    if line == "model":
        for folder in folders:
            run = Run.open(folder)
            if (run.id == arguments.run or not arguments.run) and run.section("build-image"):
                return run
        raise ConfigError("deploy: there is no run with an image here; run `model-ci build-image` first")
    context = ci.context()
    header = {"ci": context.as_record(), "code": git.describe(config.root), "trigger": {"reason": None}}
    return Run(config.root, cast("Record", {"run_id": "-", "stages": {}, **header}))
