"""check-config: whether model-ci.yaml is valid."""

import argparse
from pathlib import Path

from model_ci import config, model
from model_ci.errors import Exit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that every command on a configuration has."""
    parser.add_argument("--config", default=config.DEFAULT_FILE, metavar="FILE", help="the configuration (%(default)s)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", dest="overrides",
        help="override a value, e.g. train.parameters.depth=4; may be repeated, or hold one setting a line",
    )  # fmt: skip


def load(arguments: argparse.Namespace) -> config.Config:
    """Load the configuration that the arguments name."""
    lines = (line.strip() for text in arguments.overrides for line in text.splitlines())
    return config.load(Path(arguments.config), [line for line in lines if line])


def main(arguments: argparse.Namespace) -> int:
    """Load the file and check its classes; problems are raised, so that reaching the end means it is valid."""
    loaded = load(arguments)
    model.check_first_rows(loaded)
    print(f"{arguments.config}: valid, {loaded.model.name}, {loaded.model.task}, {len(loaded.evaluate.gates)} gates")
    return Exit.YES
