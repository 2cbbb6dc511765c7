"""remove: stop and remove all that serves in an environment."""

import argparse
import getpass

from model_ci import ci
from model_ci.commands import check_config
from model_ci.errors import ConfigError, Exit
from model_ci.targets import open_target, settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the environment has to be named, so that nothing is removed by habit."""
    check_config.add_arguments(parser)
    parser.add_argument("--environment", required=True, metavar="NAME", help="what is removed")


def main(arguments: argparse.Namespace) -> int:
    """Remove it, alone in the environment."""
    config, name = check_config.load(arguments), arguments.environment
    where = ci.context()
    if settings(config, name).policy.only_ci and not where.in_ci:
        raise ConfigError(f"remove: {name} changes from CI alone (policy.only_ci); run this in a job")
    target = open_target(config, name)
    with target.lock(where.run_url or getpass.getuser()):
        serving = target.current()
        target.remove()
    shares = [f"{v.name} {v.version or v.digest[7:19]}" for v in serving.variants] if serving else []
    print(f"{name}: removed {', '.join(shares)}" if shares else f"{name}: nothing served there")
    return Exit.YES
