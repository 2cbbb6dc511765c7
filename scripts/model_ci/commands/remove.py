"""remove: stop and remove all that serves in an environment."""

import argparse

from model_ci import ci, git
from model_ci.commands import check_config
from model_ci.errors import ConfigError, Exit
from model_ci.release import policy, removal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the environment has to be named, so that nothing is removed by habit."""
    check_config.add_arguments(parser)
    parser.add_argument("--environment", required=True, metavar="NAME", help="what is removed")
    parser.add_argument("--reason", metavar="TEXT", help="why, for the ledger")


def main(arguments: argparse.Namespace) -> int:
    """Remove it, where the policy lets it be."""
    config, name = check_config.load(arguments), arguments.environment
    where = ci.context()
    if where.only_reads:
        raise ConfigError(f"remove: {where.only_reads}")
    branch = where.branch if where.in_ci else git.describe(config.root)["branch"]
    refused = [f"{rule.rule}: {rule.why}" for rule in policy.who_may(config, name, branch, where) if not rule.holds]
    if refused:
        print(f"{name}: the policy forbids it: {'; '.join(refused)}")
        return Exit.NO
    serving = removal.remove(config, name, arguments.reason)
    shares = [f"{v.name} {v.version or v.digest[7:19]}" for v in serving.variants] if serving else []
    print(f"{name}: removed {', '.join(shares)}" if shares else f"{name}: nothing served there")
    return Exit.YES
