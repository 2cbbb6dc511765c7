"""A repository of workflows and actions, made ready for act; and what GitHub checks before a run and act does not."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from tests.ci.repository import IGNORED
from tests.ci.yaml12 import load

_USES: Final = re.compile(
    r"""^(?P<before>\s*(?:-\s+)?uses:\s+)(?P<quote>['"]?)(?P<target>[^\s'"#]+)(?P=quote)""", re.MULTILINE
)
PROBE: Final = "act-probe"


def prepare(tree: Path, copy: Path, repository: str, ref: str) -> set[str]:
    """Copy a repository as act can run it; return the `owner/repository@ref` that its files use."""
    shutil.copytree(tree, copy, symlinks=True, ignore=IGNORED, dirs_exist_ok=True)
    used: set[str] = set()
    for file in {*copy.glob(".github/workflows/*.yml"), *copy.rglob("action.yml")}:
        file.write_text(_without_queue(_resolve_self(file.read_text(), repository, ref)))
        used |= _references(file.read_text())
        if file.name == "action.yml":
            _close_leaks(file)
    return used


def _resolve_self(text: str, repository: str, ref: str) -> str:
    """Write `$/path`, which act does not know yet, as what it stands for: `owner/repository/path@ref`."""
    return _USES.sub(
        lambda m: f"{m['before']}{repository}/{m['target'][2:]}@{ref}" if m["target"].startswith("$/") else m[0], text
    )


def _without_queue(text: str) -> str:
    """Leave out `queue: max` of a concurrency group: act does not know it, and runs no groups."""
    return re.sub(r"^ +queue: max\n", "", text, flags=re.MULTILINE)


def _references(text: str) -> set[str]:
    found = set()
    for match in _USES.finditer(text):
        path, at, ref = match["target"].partition("@")
        if at and not path.startswith(("./", "docker://")):
            found.add("/".join(path.split("/")[:2]) + "@" + ref)
    return found


def _close_leaks(file: Path) -> None:
    """Take from a composite action what act gives and GitHub does not.

    Its steps would see every input as INPUT_*, declared or not; and undeclared outputs of its last step would be
    outputs of the action.
    """
    action = load(file)
    if action["runs"]["using"] != "composite":
        return
    for step in action["runs"]["steps"]:
        if step.get("shell") == "bash":
            keep = " ".join(name for name in step.get("env") or {} if name.startswith("INPUT_"))
            step["run"] = (
                f'for v in ${{!INPUT_@}}; do case " {keep} " in *" $v "*) ;; *) unset "$v" ;; esac; done; unset v\n'
                + step["run"]
            )
    action["runs"]["steps"].append({"name": "act: forget", "if": "${{ always() }}", "shell": "bash", "run": ":"})
    file.write_text(yaml.safe_dump(action, sort_keys=False))


def add_probe(file: Path) -> dict[str, Any]:
    """Add a last job that tells the outputs of all others, which act's log leaves out; return the workflow."""
    workflow: dict[str, Any] = load(file)
    workflow["jobs"][PROBE] = {
        "needs": list(workflow["jobs"]),
        "if": "${{ always() }}",
        "runs-on": "ubuntu-latest",
        "steps": [
            {
                "id": "probe",
                "shell": "bash",
                "working-directory": "${{ github.workspace }}",
                "env": {"ACT_NEEDS": "${{ toJSON(needs) }}"},
                "run": 'printf "needs<<ACT_EOT\\n%s\\nACT_EOT\\n" "$ACT_NEEDS" >> "$GITHUB_OUTPUT"',
            }
        ],
    }
    file.write_text(yaml.safe_dump(workflow, sort_keys=False))
    return workflow


def check_event(workflow: Mapping[str, Any], event: str, payload: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Refuse an event that the workflow does not run on, and inputs that it does not have."""
    triggers = _triggers(workflow["on"])
    assert event in triggers, f"the workflow does not run on {event}"
    trigger = triggers[event] or {}
    if event == "schedule":
        assert payload.get("schedule") in [entry["cron"] for entry in trigger], "no such cron line"
    elif event == "workflow_dispatch":
        _check_inputs(trigger.get("inputs") or {}, inputs)
    else:
        types = trigger.get("types")
        assert not types or payload.get("action") in types, f"{event} of type {payload.get('action')}: not in {types}"


def _triggers(on: Any) -> dict[str, Any]:
    if isinstance(on, dict):
        return on
    return dict.fromkeys([on] if isinstance(on, str) else on)


def _check_inputs(declared: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    unknown = set(given) - set(declared)
    assert not unknown, f"unexpected inputs {unknown}"
    for name, spec in declared.items():
        value = given.get(name, spec.get("default"))
        assert not spec.get("required") or value not in (None, ""), f"input {name} is required"
        assert spec.get("type") != "choice" or value in spec["options"], f"input {name}: {value} is no option"
