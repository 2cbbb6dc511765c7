"""The user's file, read, overridden and checked as a whole."""

import os
import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final, get_type_hints

from model_ci.config.contradictions import contradictions
from model_ci.config.model import CheckData, Data, Evaluate, Explain, Model, Register, Train
from model_ci.config.operation import CheckDrift, CompareVariants, Monitor, Record, Retrain
from model_ci.config.release import BuildImage, Deploy, Promote, Rollback
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.schema import Document, Path_, Schema, fill_defaults, load_schema, resolved
from model_ci.types import Settings
from model_ci.validity import violations

DEFAULT_FILE: Final = "model-ci.yaml"


@dataclass(frozen=True, kw_only=True)
class Config:
    """The whole file, valid and complete; `root` is the folder it stands in and `values` what was read."""

    root: Path
    file: str
    values: Settings
    model: Model
    data: Data
    check_data: CheckData
    train: Train
    evaluate: Evaluate
    explain: Explain
    register: Register
    build_image: BuildImage
    check_drift: CheckDrift
    compare_variants: CompareVariants
    deploy: Deploy
    promote: Promote
    rollback: Rollback
    monitor: Monitor
    retrain: Retrain
    record: Record


def load(file: Path, overrides: Sequence[str] = ()) -> Config:
    """Read, override and check the file.

    `overrides` are `dotted.path=value`, the value in YAML. Raises ConfigError with every problem at once.
    """
    document = _read(file)
    for override in overrides:
        dotted, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: no '=' in it; write dotted.path=value")
        if document.value is not None:
            document.override(dotted.strip(), text)
    messages = list(document.problems)
    if isinstance(document.value, dict):
        messages += [
            f"{document.where(path)}: {message}"
            for path, message in violations(document.value, "config", file.resolve().parent)
        ]
    elif not messages:
        messages.append(
            f"{document.name}: must be a mapping with the sections model, data, train, evaluate. Got {document.value!r}."
        )
    if messages:
        raise ConfigError(*messages)
    schema = load_schema("config")
    values = fill_defaults(document.value, schema, schema)
    messages += _expand(values, schema, (), document)
    if values["data"]["holdout"]["by"] is None:
        values["data"]["holdout"]["by"] = "time" if values["data"]["time_column"] else "random"
    if values["explain"]["in_run"] is None:
        values["explain"]["in_run"] = "explain" in document.value
    messages += [f"{document.where(path)}: {message}" for path, message in contradictions(values, document.value)]
    if messages:
        raise ConfigError(*messages)
    sections = {
        f.name: values.get(f.name.replace("_", "-")) for f in fields(Config) if f.name not in ("root", "file", "values")
    }
    typed = {name: _typed(_hints(Config)[name], value) for name, value in sections.items()}
    return Config(root=file.resolve().parent, file=file.name, values=values, **typed)


def _read(file: Path) -> Document:
    try:
        return Document(file.read_text(encoding="utf-8"), str(file))
    except FileNotFoundError:
        raise ConfigError(
            f"{file}: no such file; write one with `model-ci init`, or name yours with --config"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}; make it a readable UTF-8 text file") from None


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed(kind: Any, value: Any) -> Any:  # of whatever type the field has
    if is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return kind(**{name: _typed(hints[name], v) for name, v in value.items()})
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    if isinstance(value, list):
        inner = getattr(kind, "__args__", (None,))[0]
        return tuple(_typed(inner, item) for item in value)
    if isinstance(value, dict) and is_dataclass(inner := getattr(kind, "__args__", (None,))[-1]):
        return {name: _typed(inner, item) for name, item in value.items()}
    return value


def _expand(values: dict[str, Any], schema: Schema, path: Path_, document: Document) -> list[str]:
    """Replace ${NAME} in place where the schema allows it; return the problems."""
    messages: list[str] = []
    for key, sub in _properties(values, schema).items():
        value = values.get(key)
        if isinstance(value, dict):
            messages += _expand(value, sub, (*path, key), document)
        elif isinstance(value, str) and sub.get("expandEnvironment"):
            for name in re.findall(r"\$\{(\w+)\}", value):
                if name not in os.environ:
                    messages.append(f"{document.where((*path, key))}: the environment has no {name}; set it")
                value = value.replace(f"${{{name}}}", os.environ.get(name, ""))
            values[key] = value
    return messages


def _properties(values: Settings, schema: Schema) -> Schema:
    """Return the schema of each key; of a mapping with names of the user's own, each of which is of one kind, too."""
    kind = schema.get("additionalProperties")
    if not isinstance(kind, dict):
        properties: Schema = schema.get("properties", {})
        return properties
    return dict.fromkeys(values, resolved(kind, load_schema("config")))
