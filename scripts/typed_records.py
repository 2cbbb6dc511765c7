"""Writes the types of a run's record, scripts/model_ci/record_types.py, from schemas/run.schema.json. Run by `make records`."""

import json
import subprocess
import sys
from keyword import iskeyword
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODULE = ROOT / "scripts" / "model_ci" / "record_types.py"
HEAD = '''"""The types of a run's record. `make records` writes them from schemas/run.schema.json: change the schema, not this file."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from model_ci.types import JSON
'''
SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


class Writer:
    """Names a class for each object whose properties the schema lists, and puts it before the class that uses it.

    A closed list of texts becomes `str`: a record that was read holds plain text, and a StrEnum's members are text too.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        self.classes: dict[str, str] = {}

    def module(self) -> str:
        """Return the text of the module."""
        self._object(self.schema, "Record")
        return "\n\n".join([HEAD, *self.classes.values()])

    def _type(self, node: dict[str, Any], name: str) -> str:
        if "$ref" in node and "properties" not in node:
            return self._referenced(node["$ref"])[1]
        if "oneOf" in node:
            return _either(self._type(part, name) for part in node["oneOf"])
        if "enum" in node or "const" in node:
            values = node.get("enum", [node.get("const")])
            return _either("None" if value is None else type(value).__name__ for value in values)
        kinds = node.get("type", "object" if "$ref" in node else [])
        return (
            _either(self._of_kind(kind, node, name) for kind in ([kinds] if isinstance(kinds, str) else kinds))
            or "JSON"
        )

    def _of_kind(self, kind: str, node: dict[str, Any], name: str) -> str:
        match kind:
            case "array":
                return f"Sequence[{self._type(node.get('items', {}), name.removesuffix('s'))}]"
            case "object" if "properties" in node:
                return self._object(node, name)
            case "object":
                values = node.get("additionalProperties")
                return f"Mapping[str, {self._type(values, name.removesuffix('s')) if isinstance(values, dict) else 'JSON'}]"
        return SIMPLE[kind]

    def _object(self, node: dict[str, Any], name: str) -> str:
        inherited, parent = self._inherited(node)
        above = name.removesuffix("Section")
        fields = {}
        for key, value in node["properties"].items():
            if key in inherited:
                continue  # narrower than in the parent, which a type cannot express
            child = f"{_camel(key)}Section" if name == "Sections" else f"{above}{_camel(key)}"
            kind = self._type(value, "Sections" if child == "RecordStages" else child)
            fields[key] = kind if key in node.get("required", []) else f"NotRequired[{kind}]"
        if any(not key.isidentifier() or iskeyword(key) for key in fields):
            pairs = ", ".join(f'"{key}": {kind}' for key, kind in fields.items())
            return self._add(name, f'{name} = TypedDict("{name}", {{{pairs}}})\n')
        if parent in ("Section", "ReusableSection") and name != "ReusableSection":
            self._class(f"{above}Result", "TypedDict", f"{node['description']} As the stage returns it.", fields)
            return self._class(name, f"{above}Result, {parent}", node["description"], {})
        return self._class(name, parent, node["description"], fields)

    def _inherited(self, node: dict[str, Any]) -> tuple[set[str], str]:
        if "$ref" not in node:
            return set(), "TypedDict"
        base, parent = self._referenced(node["$ref"])
        return self._inherited(base)[0] | set(base["properties"]), parent

    def _referenced(self, reference: str) -> tuple[dict[str, Any], str]:
        key = reference.rpartition("/")[2]
        return self.schema["$defs"][key], self._type(self.schema["$defs"][key], _camel(key))

    def _class(self, name: str, parents: str, description: str, fields: dict[str, str]) -> str:
        lines = [f"class {name}({parents}):", f'    """{description}"""', ""]
        return self._add(name, "\n".join([*lines, *(f"    {key}: {kind}" for key, kind in fields.items()), ""]))

    def _add(self, name: str, text: str) -> str:
        if self.classes.setdefault(name, text) != text:
            sys.exit(f"schemas/run.schema.json: two objects would both be {name}; move one to $defs under another name")
        return name


def _camel(key: str) -> str:
    return "".join(part.capitalize() for part in key.replace("-", "_").split("_"))


def _either(kinds: Any) -> str:
    return " | ".join(sorted(dict.fromkeys(kinds), key=lambda kind: kind == "None"))


def text() -> str:
    """Return the module as it has to be."""
    schema = json.loads((ROOT / "schemas" / "run.schema.json").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(MODULE), "-"]
    return subprocess.run(command, input=Writer(schema).module(), capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    MODULE.write_text(text(), encoding="utf-8")
