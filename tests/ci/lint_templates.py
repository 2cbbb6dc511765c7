"""Check GitLab templates by GitLab's schema, which knows no files of two documents: header and body apart."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.ci.yaml12 import load_all

_INPUT = re.compile(r"\$\[\[ inputs\.([\w-]+) \]\]")


def interpolate(body: Any, inputs: Mapping[str, Any]) -> Any:
    """Put the inputs in their places, as GitLab does; a place that is nothing but an input keeps the input's type."""
    if isinstance(body, dict):
        return {interpolate(key, inputs): interpolate(value, inputs) for key, value in body.items()}
    if isinstance(body, list):
        return [interpolate(item, inputs) for item in body]
    if not isinstance(body, str):
        return body
    if whole := _INPUT.fullmatch(body):
        return inputs[whole[1]]
    return _INPUT.sub(lambda match: str(inputs[match[1]]), body)


def main(templates: list[str]) -> int:
    """Return 0 when the header of every template, and its body with the default inputs, are valid."""
    parts = []
    with tempfile.TemporaryDirectory() as scratch:
        for template in map(Path, templates):
            header, body = load_all(template)
            defaults = {name: spec["default"] for name, spec in header["spec"]["inputs"].items()}
            for name, part in {"header": header, "body": interpolate(body, defaults)}.items():
                file = Path(scratch) / f"{template.stem}.{name}.json"
                file.write_text(json.dumps(part))
                parts.append(str(file))
        command = ["check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", *parts]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
