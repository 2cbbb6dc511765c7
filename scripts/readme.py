"""Fills the generated parts of the README and the docs: files as they are, tables from the schema and the stages. Run by `cog`."""

import json
from pathlib import Path
from typing import Any

from model_ci.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]


def file(name: str, language: str) -> None:
    """Print a file of the repository as a code block."""
    print(f"\n```{language}\n{(ROOT / name).read_text(encoding='utf-8').rstrip()}\n```\n")


def stages(line: str) -> None:
    """Print the table of a line's stages."""
    print("\n| stage | does | needs | in a pull request | can say no |\n|---|---|---|---|---|")
    for stage in STAGES.values():
        if stage.line == line:
            needs, no = ", ".join(stage.needs) or "-", "yes" if stage.judges else "-"
            print(f"| `{stage.name}` | {stage.does} | {needs} | {'left out' if stage.writes else 'runs'} | {no} |")
    print()


def options() -> None:
    """Print the table of all options."""
    schema = json.loads((ROOT / "schemas" / "config.schema.json").read_text(encoding="utf-8"))
    print("\n| option | default | meaning |\n|---|---|---|")
    _options(schema, "", schema)
    gate = schema["$defs"]["gate"]
    _options(gate, "evaluate.gates[].", schema)
    _options(schema["$defs"]["guard_rail"], "compare-variants.guard_rails[].", schema)
    _options(schema["$defs"]["monitor_limit"], "monitor.limits[].", schema)
    _options(schema["$defs"]["environment"], "deploy.environments.NAME.", schema)
    print()


def _options(schema: dict[str, Any], above: str, root: dict[str, Any]) -> None:
    for name, sub in schema["properties"].items():
        path = f"{above}{name}"
        if "properties" in sub:
            _options(sub, f"{path}.", root)
            continue
        words = " ".join([sub["description"], *([f"One of {_choices(sub)}."] if "enum" in sub else [])])
        print(f"| `{path}` | {_default(schema, name, sub)} | {words.replace('|', chr(92) + '|')} |")


def _default(schema: dict[str, Any], name: str, sub: dict[str, Any]) -> str:
    if "default" in sub:
        return "" if sub["default"] in (None, [], {}) else f"`{json.dumps(sub['default'])}`"
    return "required" if name in schema.get("required", []) else ""


def _choices(sub: dict[str, Any]) -> str:
    return ", ".join(f"`{value}`" for value in sub["enum"] if value is not None)
