"""Documents against our JSON Schemas: positions in the YAML, every problem at once, defaults filled in."""

import copy
import difflib
import json
import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Path_ = tuple[str | int, ...]
Schema = dict[str, Any]  # JSON Schema
_HERE = Path(__file__).parent
# Plain values that YAML 1.1 reads as something else than they say: times as base 60, leading zeros as base 8, words as booleans.
_SURPRISE = re.compile(
    r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[-+]?0[0-9_]+|[-+]?0b[01_]+|yes|no|on|off", re.IGNORECASE
)


@cache
def load_schema(name: str) -> Schema:
    """Return `schemas/<name>.schema.json`."""
    schema: Schema = json.loads(schema_text(name))
    return schema


@cache
def schema_text(name: str) -> bytes:
    """Return its text, from beside the package (wheel) or from the checkout."""
    for folder in (_HERE / "schemas", _HERE.parents[1] / "schemas"):
        file = folder / f"{name}.schema.json"
        if file.is_file():
            return file.read_bytes()
    raise FileNotFoundError(f"{name}.schema.json")


class Document:
    """A YAML document that remembers where each value stands.

    `problems` holds what makes it no plain document: syntax, doubled keys, keys that are no text, NaN and infinity.
    """

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.positions: dict[Path_, tuple[int, int]] = {}
        self.problems: list[str] = []
        self.value: Any = None
        try:
            node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except (yaml.YAMLError, RecursionError) as error:
            self.problems.append(self._syntax(error))
            return
        if node is not None:
            try:
                self.value = self._build(node, ())
            except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
                self.problems.append(self._syntax(error))

    def position(self, path: Path_) -> tuple[int, int]:
        """Return line and column of the nearest place that stands in the file."""
        spot = path
        while spot and spot not in self.positions:
            spot = spot[:-1]
        return self.positions.get(spot, (1, 1))

    def where(self, path: Path_) -> str:
        """Return `file:line:column: dotted.path` of the nearest place that stands in the file."""
        line, column = self.position(path)
        dotted = dotted_path(path)
        return f"{self.name}:{line}:{column}: {dotted}" if dotted else f"{self.name}:{line}:{column}"

    def override(self, dotted: str, value_text: str) -> None:
        """Set a value as `--set` does: `dotted` names it from the top, `value_text` is YAML."""
        given = Document(value_text, f"--set {dotted}")
        self.problems += given.problems
        target = self.value
        keys: list[str | int] = list(dotted.split("."))
        for i, key in enumerate(keys):
            if isinstance(target, list):
                if not str(key).isdigit() or int(key) >= len(target):
                    self.problems.append(f"--set {dotted}: no such element; give a number below {len(target)}")
                    return
                keys[i] = key = int(key)
            elif not isinstance(target, dict) or not key:
                self.problems.append(
                    f"--set {dotted}: nothing can be set there; name the value from the top of the file"
                )
                return
            if i == len(keys) - 1:
                target[key] = given.value
            elif isinstance(target, dict):
                target = target.setdefault(key, {})
            else:
                target = target[key]

    def _syntax(self, error: Exception) -> str:
        mark = getattr(error, "problem_mark", None)
        place = f"{self.name}:{mark.line + 1}:{mark.column + 1}" if mark else self.name
        return f"{place}: not valid YAML: {getattr(error, 'problem', None) or error or type(error).__name__}; mend the syntax"

    def _build(self, node: yaml.Node, path: Path_) -> Any:
        self.positions.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        value = yaml.constructor.SafeConstructor().construct_object(node)
        plain = isinstance(node, yaml.ScalarNode) and node.style not in {"'", '"', "|", ">"}
        if plain and not isinstance(value, str) and _SURPRISE.fullmatch(node.value):
            self.problems.append(
                f"{self.where(path)}: YAML reads {node.value} as {json.dumps(value)}; "
                f'write {json.dumps(value)} if you mean that, or "{node.value}" for text'
            )
        if isinstance(value, float) and not math.isfinite(value):
            self.problems.append(f"{self.where(path)}: must be a finite number. Got {node.value!r}.")
        if value is not None and not isinstance(value, (str, int, float, bool)):
            return node.value  # dates and binary stay the text they are
        return value

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            place = f"{self.name}:{mark.line + 1}:{mark.column + 1}"
            if key is None or key_node.tag == "tag:yaml.org,2002:merge":
                self.problems.append(f"{place}: a key must be plain text; write each key out")
                continue
            if key in result:
                self.problems.append(f"{place}: {dotted_path((*path, key))}: stands twice; keep one")
            self.positions[(*path, key)] = (mark.line + 1, mark.column + 1)
            result[key] = self._build(value_node, (*path, key))
        return result


def dotted_path(path: Path_) -> str:
    """Write a path as people do: `evaluate.gates[0].min`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def fill_defaults(value: Any, schema: Schema, root: Schema) -> Any:
    """Return `value` with the schema's defaults where it says nothing."""
    schema = resolved(schema, root)
    own_names = schema.get("additionalProperties")
    if isinstance(value, dict) and isinstance(own_names, dict) and "properties" not in schema:
        return {name: fill_defaults(item, own_names, root) for name, item in value.items()}
    if isinstance(value, dict) and "properties" in schema:
        filled = dict(value)
        for key, sub in schema["properties"].items():
            if key in filled or "default" in sub:
                filled[key] = fill_defaults(filled.get(key, copy.deepcopy(sub.get("default"))), sub, root)
        return filled
    if isinstance(value, list) and "items" in schema:
        return [fill_defaults(item, schema["items"], root) for item in value]
    return value


def default(name: str, key: str) -> Any:
    """Return the default of a key in a part of the configuration that may stand there many times, such as a gate."""
    return load_schema("config")["$defs"][name]["properties"][key]["default"]


def resolved(schema: Schema, root: Schema) -> Schema:
    """Return the schema with what its reference names."""
    return root["$defs"][schema["$ref"].rpartition("/")[2]] | schema if "$ref" in schema else schema


def problems(value: object, schema_name: str) -> Iterator[tuple[Path_, str]]:
    """Yield each violation as its path and a sentence: what must be, what was got, what is allowed."""
    from jsonschema import Draft202012Validator

    schema = load_schema(schema_name)
    seen: set[tuple[Path_, str]] = set()
    for error in sorted(
        Draft202012Validator(schema).iter_errors(value), key=lambda e: [str(p) for p in e.absolute_path]
    ):
        for path, message in _sentences(error, schema):
            if (path, message) not in seen:
                seen.add((path, message))
                yield path, message


def _sentences(error: Any, root: Schema) -> Iterator[tuple[Path_, str]]:
    path: Path_ = tuple(error.absolute_path)
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            allowed = list(_properties(error.schema, root))
            for key in error.instance:
                if key not in allowed:
                    yield (*path, key), f"unknown key; {_suggest(key, allowed)}"
        case "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            for key in missing:
                if f"'{key}'" in error.message:
                    yield path, f"'{key}' is missing; {_describe(error.schema, key)}"
        case "enum":
            allowed = [json.dumps(v) if v is None else str(v) for v in error.validator_value]
            yield (
                path,
                f"must be one of {', '.join(allowed)}. Got {error.instance!r}.{_nearest(error.instance, allowed)}",
            )
        case "anyOf" | "oneOf" if all("required" in s for s in error.validator_value):
            if not isinstance(error.instance, dict):
                return  # its type is told already
            keys = [s["required"][0] for s in error.validator_value]
            got = [k for k in keys if k in error.instance]
            how = "exactly one of" if error.validator == "oneOf" else "at least one of"
            yield path, f"needs {how} {', '.join(keys)}. Got {' and '.join(got) or 'none of them'}."
        case _:
            yield path, f"must be {_expected(error)}. Got {error.instance!r}."


def _properties(schema: Schema, root: Schema) -> Schema:
    """Return the properties of a schema, those of what it refers to first."""
    inherited = _properties(root["$defs"][schema["$ref"].rpartition("/")[2]], root) if "$ref" in schema else {}
    return {**inherited, **schema.get("properties", {})}


def _expected(error: Any) -> str:
    bound = error.validator_value
    match error.validator:
        case "type":
            return _or([_TYPES[t] for t in ([bound] if isinstance(bound, str) else bound)])
        case "oneOf" | "anyOf":
            return _or([_expected_of(s) for s in bound])
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            return "a number " + _range(error.schema)
        case "minItems":
            return f"a list of at least {bound}"
        case "uniqueItems":
            return "a list without repetition"
        case "minLength":
            return "text that is not empty" if bound == 1 else f"text of at least {bound} characters"
        case "maxLength":
            return f"text of at most {bound} characters"
        case "pattern":
            return f"text that matches {bound}"
    return str(error.message)


def _expected_of(schema: Schema) -> str:
    kind = _TYPES[schema["type"]]
    if "pattern" in schema:
        return f"{kind} that matches {schema['pattern']}"
    return f"{kind} {_range(schema)}".strip()


def _range(schema: Schema) -> str:
    low, high = (
        schema.get("minimum", schema.get("exclusiveMinimum")),
        schema.get("maximum", schema.get("exclusiveMaximum")),
    )
    if low is None and high is None:
        return ""
    left = "(" if "exclusiveMinimum" in schema or low is None else "["
    right = ")" if "exclusiveMaximum" in schema or high is None else "]"
    return f"in the range {left}{'-inf' if low is None else low}, {'inf' if high is None else high}{right}"


_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


def _or(parts: list[str]) -> str:
    return " or ".join(parts)


def _describe(schema: Schema, key: str) -> str:
    text = schema.get("properties", {}).get(key, {}).get("description", "")
    return f"add it: {text}" if text else "add it"


def _suggest(key: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(key, allowed, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"allowed are {', '.join(allowed)}"


def _nearest(value: object, allowed: list[str]) -> str:
    near = difflib.get_close_matches(str(value), allowed, n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""
