"""ui: MLflow's own pages on whichever store the models are in."""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

from model_ci import ci, registry
from model_ci.commands import check_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    check_config.add_arguments(parser)
    parser.add_argument("--port", type=int, default=5000, help="port on this machine (%(default)s)")


def main(arguments: argparse.Namespace) -> int:
    """Serve the pages until interrupted."""
    config = check_config.load(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        command, environment = registry.ui_command(
            config, config.root, in_ci=ci.context().in_ci, folder=Path(scratch), port=arguments.port
        )
        return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode
