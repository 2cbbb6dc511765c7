"""init: the first files of a project, proposed from what the repository holds."""

from model_ci.commands.init.command import add_arguments, main

__all__ = ["add_arguments", "main"]
