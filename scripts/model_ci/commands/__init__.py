"""The commands that are no stage, one module each, with `add_arguments(parser)` and `main(arguments) -> exit code`."""
