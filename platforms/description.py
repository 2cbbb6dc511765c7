"""description.yaml, completed by what the package states itself: the stages, and the options of the commands."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from model_ci import __version__, cli
from model_ci.stages import STAGES

_FILE: Final = Path(__file__).with_name("description.yaml")
_KEYS: Final = {"text", "default", "for", "only", "secret", "type", "choices"}


class DescriptionError(Exception):
    """The description contradicts the package, or asks for what a platform cannot express."""


@dataclass(frozen=True)
class Input:
    """What a user sets."""

    name: str
    text: str
    default: Any
    type: str
    choices: Sequence[str]
    secret: str
    option: bool  # passed to the command as --name, and checked by it


@dataclass(frozen=True, kw_only=True)
class Command:
    """A stage, or another command that a CI system runs; description.yaml explains the fields."""

    name: str
    summary: str
    line: str = ""
    inputs: Sequence[Input] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    extras: Sequence[str] = ()
    code: bool = False
    rights: Sequence[str] = ()
    events: Sequence[str] = ()
    after: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    takes: Mapping[str, str] = field(default_factory=dict)
    reports: str = "run"
    always: bool = False
    checkout: bool = True
    builds_image: bool = False
    notes: str = ""


class Description:
    """Everything that a template may ask for; DescriptionError for what does not fit the package or a platform."""

    def __init__(self, file: Path = _FILE) -> None:
        """Read and check the file."""
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        self.platforms: Mapping[str, Mapping[str, Any]] = values["platforms"]
        self.pipelines: Mapping[str, Mapping[str, Any]] = values["pipelines"]
        self.commands: Mapping[str, Mapping[str, Any]] = values["commands"]
        self._inputs: Mapping[str, Mapping[str, Any]] = values["inputs"]
        self._outputs: Mapping[str, Any] = values["outputs"]
        self._events: Mapping[str, Sequence[str]] = values["events"]
        if problems := sorted(self._problems(set(values["terminal-only"]))):
            raise DescriptionError("\n".join(problems))

    def command(self, name: str, platform: str) -> Command:
        """Return a command as a platform offers it."""
        entry = {key.replace("-", "_"): value for key, value in self.commands[name].items()}
        if name in STAGES:
            line = STAGES[name].line
            entry = {"line": line, "events": self._events[line], **entry}
        command = Command(name=name, summary=_parser(name).description or "", **entry)
        inputs = [self._input(n, name, command) for n in self._inputs if self._has(command, n, platform)]
        command = replace(command, inputs=inputs, outputs=self._described_outputs(command))
        if problems := list(self._beyond(command, platform)):
            raise DescriptionError(f"{platform} cannot express of {name}: {'; '.join(problems)}")
        return command

    def pipeline_inputs(self, name: str, platform: str) -> list[Input]:
        """Return the inputs of a pipeline of several jobs; `workflow` is the platform of GitHub's reusable workflows."""
        names = self.pipelines[name]["inputs"]
        return [self._input(n, name, None) for n in names if platform in self._inputs[n].get("only", (platform,))]

    def _has(self, command: Command, name: str, platform: str) -> bool:
        spec = self._inputs[name]
        scope, own = spec.get("for", "option"), name in _options(command.name)
        groups = {"all": True, "code": command.code, "after": bool(command.after), "option": own}
        has = command.name in scope if isinstance(scope, list) else groups[scope]
        return has and platform in spec.get("only", (platform,))

    def _input(self, name: str, user: str, command: Command | None) -> Input:
        """Describe an input for its user, a command or a pipeline."""
        spec = self._inputs[name]
        option = _options(command.name if command else "run").get(name)
        keys = (user, command.line if command else "", "else")
        text, default = (_chosen(spec.get(key), keys) for key in ("text", "default"))
        if text is None:
            raise DescriptionError(f"inputs.{name}.text: has none for {user}; add it, or one for `else`")
        if default is None:
            default = option.default if option and isinstance(option.default, str) else ""
        for place, value in (("COMMAND", user), ("AFTER", command.after if command else ""), ("VERSION", __version__)):
            default = default.replace(place, value) if isinstance(default, str) else default
        choices = list(spec.get("choices") or (option.choices if option else None) or ())
        kind, secret = spec.get("type", "choice" if choices else "string"), spec.get("secret", "")
        return Input(name, text, default, kind, choices, secret, option=option is not None)

    def _described_outputs(self, command: Command) -> dict[str, str]:
        stages = STAGES.values() if command.name == "run" else [s for s in [STAGES.get(command.name)] if s]
        own = [output for stage in stages for output in stage.outputs]
        common = {"run": ["verdict", "run-id", "run-folder"], "outputs": ["verdict", "run-id"], "none": []}
        names = dict.fromkeys([*common[command.reports], *own])
        texts = {name: _chosen(self._outputs.get(name), (command.name, "else")) for name in names}
        if missing := [f"outputs.{name}: has no text for {command.name}" for name, text in texts.items() if not text]:
            raise DescriptionError("\n".join(missing))
        return texts

    def _beyond(self, command: Command, platform: str) -> list[str]:
        can = self.platforms[platform]
        beyond = [f"the right {right}" for right in command.rights if right not in can["rights"]]
        if can["events"] != "caller":
            beyond += [f"the event {event}" for event in command.events if event not in can["events"]]
        inputs = [i for i in command.inputs if i.type not in can["types"] and not (i.option and i.type == "choice")]
        return beyond + [f"the type {i.type} of the input {i.name}" for i in inputs]

    def _problems(self, terminal_only: set[str]) -> Iterator[str]:
        options = {(name, option) for name in self.commands for option in _options(name)}
        described = {name for name, spec in self._inputs.items() if "for" not in spec}
        for name, option in options:
            if option not in described | terminal_only:
                yield f"commands: {name} has the option --{option}; describe it in inputs, or add it to terminal-only"
        for name in described - {option for _, option in options}:
            yield f"inputs.{name}: no command has the option --{name}; state in `for` who has this input"
        known = {f.name.replace("_", "-") for f in fields(Command)}
        for section, entries, keys in (("inputs", self._inputs, _KEYS), ("commands", self.commands, known)):
            yield from (
                f"{section}.{n}.{key}: unknown key" for n, entry in entries.items() for key in entry.keys() - keys
            )
        for name, stage in STAGES.items():
            if name not in self.commands or (stage.writes and not self.commands[name].get("rights")):
                yield f"commands.{name}: is missing, or has no rights although the stage writes"


def _chosen(value: Any, keys: Sequence[str]) -> Any:
    """Take from a value by command, pipeline or line the one that is meant."""
    return next((value[key] for key in keys if key in value), None) if isinstance(value, Mapping) else value


@cache
def _parser(name: str) -> argparse.ArgumentParser:
    (commands,) = (a for a in cli._parser(name)._actions if isinstance(a, argparse._SubParsersAction))
    parser: argparse.ArgumentParser = commands.choices[name]
    return parser


def _options(name: str) -> dict[str, argparse.Action]:
    flags = {flag: action for action in _parser(name)._actions for flag in action.option_strings}
    return {flag.removeprefix("--"): a for flag, a in flags.items() if flag.startswith("--") and flag != "--help"}
