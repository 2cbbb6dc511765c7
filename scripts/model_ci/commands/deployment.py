"""deploy, promote and rollback: their own words for the configuration, and the plan that changes nothing."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci import ci, pipeline
from model_ci.config import Config
from model_ci.errors import Exit
from model_ci.files import write_atomically
from model_ci.release import promotion, reversal
from model_ci.stages import STAGES
from model_ci.stages.deploy import stage as deploy

if TYPE_CHECKING:
    pass


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
    invocation = pipeline.Invocation(
        stages=[stage], run_id=arguments.run or None, force=arguments.force, reason=arguments.reason or None
    )
    run, step = pipeline.preview(config, invocation, ci.context())
    if getattr(arguments, "render", ""):
        folder = Path(arguments.render)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in deploy.render(config, run).items():
            write_atomically(folder / name, text.encode())
            print(folder / name)
        return Exit.YES
    if step.state in ("left out", "refused"):
        print(f"{step.stage} {step.state}: {step.why}")
    lines = PLANS[stage](config, run)
    print("\n".join(lines) if lines else "nothing to do: the environment is as it should be")
    return Exit.YES
