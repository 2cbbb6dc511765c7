"""`python -m platforms` writes the generated files; with --check it fails when one is stale."""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jinja2
import yaml

from platforms.description import Description, DescriptionError

ROOT: Final = Path(__file__).resolve().parents[1]
_GENERATED: Final = ("actions/*/*", "gitlab/*", "templates/*")


def main(arguments: list[str]) -> int:
    """Write or check all files; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m platforms", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    check = parser.parse_args(arguments).check
    try:
        texts = {ROOT / place: text for place, text in files(Description())}
    except DescriptionError as error:
        print(f"platforms/description.yaml: {error}", file=sys.stderr)
        return 2
    present = {file: file.read_text(encoding="utf-8") for pattern in _GENERATED for file in ROOT.glob(pattern)}
    stale = sorted(file for file in texts.keys() | present.keys() if texts.get(file) != present.get(file))
    for file in stale:
        if check:
            print(f"{file.relative_to(ROOT)}: stale; run `make platforms`", file=sys.stderr)
        elif file in texts:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(texts[file], encoding="utf-8")
        else:
            file.unlink()
    return 1 if check and stale else 0


def files(description: Description) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of every generated file."""
    environment = _environment()
    (uv,) = re.findall(r"^uv==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    for platform, can in description.platforms.items():
        shared = {"platform": platform, "rights": can["rights"], "rule": can["events"], "uv": uv}
        run = description.command("run", platform)
        for name in description.commands:
            place = can["file"].format(can.get("names", {}).get(name, name))
            text = environment.get_template(can["command"]).render(shared, c=description.command(name, platform))
            yield place, text.strip() + "\n"
        for name, template in can.get("pipelines", {}).items():
            jobs, inputs = description.pipelines[name]["jobs"], description.pipeline_inputs(name, platform)
            text = environment.get_template(template).render(shared, c=run, jobs=jobs, inputs=inputs)
            yield can["file"].format(name), text.strip() + "\n"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        variable_start_string="<<",  # double braces belong to GitHub
        variable_end_string=">>",
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - YAML, from our own description
    )
    environment.filters["scalar"] = _scalar
    environment.filters["comment"] = lambda text: "\n".join(f"# {line}" for line in text.splitlines())
    environment.filters["variable"] = lambda name: name if name.isupper() else f"INPUT_{name.upper().replace('-', '_')}"
    return environment


def _scalar(value: Any) -> str:
    """Write a value as YAML on one line: plain where that reads back as the same, else in double quotes."""
    try:
        plain = isinstance(value, str) and yaml.safe_load(f"key: {value}") == {"key": value}
    except yaml.YAMLError:
        plain = False
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
