"""A default stands in the schema alone: not in Python, not in prose."""

import ast
import dataclasses
import inspect
import json
import re
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_ci.config import Config

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "scripts" / "model_ci"
SCHEMA = json.loads((ROOT / "schemas" / "config.schema.json").read_text(encoding="utf-8"))
# Unset is no setting there, or means what fits the rest of the configuration: the other rules.
NO_DEFAULT = {
    ("ci.py", "branch"), ("serving/openapi.py", "version"), ("targets/docker/balancer.py", "port"),
    *(("stages/check_drift/judging.py", key) for key in ("numbers", "categories", "threshold")),
}  # fmt: skip


def parts_of_the_configuration(part: type = Config) -> Iterator[type]:
    """Yield every dataclass that a part of the file becomes."""
    yield part
    for hint in typing.get_type_hints(part).values():
        for kind in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(kind) and isinstance(kind, type):
                yield from parts_of_the_configuration(kind)


def is_a_value(node: ast.expr | None) -> bool:
    """Tell whether an expression is a value that somebody chose: not None, empty, or what the schema says."""
    if isinstance(node, ast.Constant):
        return bool(node.value)
    return isinstance(node, ast.Name) and node.id.isupper()


def keys(schema: object = SCHEMA) -> set[str]:
    if isinstance(schema, list):
        return {key for part in schema for key in keys(part)}
    if not isinstance(schema, dict):
        return set()
    return {*schema.get("properties", {}), *(key for part in schema.values() for key in keys(part))}


def descriptions(schema: object = SCHEMA) -> Iterator[str]:
    if isinstance(schema, list):
        for part in schema:
            yield from descriptions(part)
    elif isinstance(schema, dict):
        if isinstance(schema.get("description"), str):
            yield schema["description"]
        for part in schema.values():
            yield from descriptions(part)


@pytest.mark.parametrize(
    "part", sorted(set(parts_of_the_configuration()), key=lambda p: p.__name__), ids=lambda p: p.__name__
)
def test_no_part_of_the_configuration_has_a_default_in_python(part: type) -> None:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
    assert isinstance(tree, ast.ClassDef)
    assert not [ast.unparse(node) for node in tree.body if isinstance(node, ast.AnnAssign) and is_a_value(node.value)]


def test_no_key_that_is_unset_gets_its_value_in_python() -> None:
    known, chosen = keys(), []
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.BoolOp) or not isinstance(node.op, ast.Or):
                continue
            key = node.values[0].attr if isinstance(node.values[0], ast.Attribute) else ""
            if key in known and is_a_value(node.values[-1]) and (name, key) not in NO_DEFAULT:
                chosen.append(f"{name}:{node.lineno}: {ast.unparse(node)}")
    assert chosen == []


def test_no_description_repeats_a_default() -> None:
    pattern = re.compile(r"unless given|\bdefaults? (is|to)\b|\(default|(Without it:|If unset,) [\d`]\w*`?\.")
    assert [text for text in descriptions() if pattern.search(text)] == []
