"""selftest: bad models and bad data planted before the gates of the project."""

from model_ci.commands.selftest.command import add_arguments, main

__all__ = ["add_arguments", "main"]
