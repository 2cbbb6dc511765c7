"""Writes the conditions of a gate, from their one table, into the schemas. Run by `make readme`; a test compares."""

import json
import re
from pathlib import Path

from model_ci.config.conditions import CONDITIONS

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"


def written(name: str, text: str) -> str:
    """Return a schema's text with the conditions as the table has them."""
    if name == "config":
        return _in_gates(text)
    return re.sub(r'(?<="enum": \[)[^\]]*"max_drop"[^\]]*(?=\])', _in_lines, text)


def _in_gates(text: str) -> str:
    head, mark, rest = text.partition('    "gate": {\n')
    one_of = "".join(f'        {{"required": ["{name}"]}},\n' for name in CONDITIONS).rstrip(",\n")
    rest = re.sub(r'(?<="anyOf": \[\n).*?(?=\n      \])', lambda _: one_of, rest, count=1, flags=re.DOTALL)
    properties = "".join(
        f'        "{name}": {json.dumps(condition.schema(), ensure_ascii=False)},\n'
        for name, condition in CONDITIONS.items()
    )
    first = next(iter(CONDITIONS))
    rest = re.sub(rf'        "{first}": .*?(?=        "by": )', lambda _: properties, rest, count=1, flags=re.DOTALL)
    return head + mark + rest


def _in_lines(match: re.Match[str]) -> str:
    indent = re.match(r"\s*", match[0])
    separator = f",{indent[0]}" if indent and indent[0] else ", "
    end = re.search(r"\s*$", match[0])
    words = [json.dumps(name) for name in (*CONDITIONS, "own")]
    return f"{indent[0] if indent else ''}{separator.join(words)}{end[0] if end else ''}"


if __name__ == "__main__":
    for schema in ("config", "run"):
        file = SCHEMAS / f"{schema}.schema.json"
        file.write_text(written(schema, file.read_text(encoding="utf-8")), encoding="utf-8")
