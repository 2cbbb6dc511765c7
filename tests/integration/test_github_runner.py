"""The GitHub of these tests is as strict as the real one where act, which executes for it, is not."""

from pathlib import Path

import pytest
from tests.ci.github import Event, GitHub

LEAKY = """
name: leaky
description: Tells more than it declares.
inputs:
  seen: {description: Declared by the step., default: S}
  unseen: {description: Not declared by the step., default: U}
outputs:
  declared: {description: Declared., value: "${{ steps.one.outputs.declared }}"}
runs:
  using: composite
  steps:
    - id: one
      shell: bash
      env: {INPUT_SEEN: "${{ inputs.seen }}"}
      run: |
        echo declared=1 >> "$GITHUB_OUTPUT"
        echo first >> "$GITHUB_STEP_SUMMARY"
        echo "[$INPUT_SEEN][$INPUT_UNSEEN]"
    - shell: bash
      run: |
        echo undeclared=2 >> "$GITHUB_OUTPUT"
        echo second >> "$GITHUB_STEP_SUMMARY"
"""
USER = """
on:
  push:
  repository_dispatch: {types: [drift]}
  workflow_dispatch: {inputs: {size: {type: choice, options: [s, m]}}}
jobs:
  job:
    runs-on: ubuntu-latest
    outputs:
      declared: ${{ steps.leaky.outputs.declared }}
      undeclared: ${{ steps.leaky.outputs.undeclared }}
    steps:
      - uses: actions/checkout@v7
      - id: leaky
        uses: $/leaky
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with an action that leaks what act would let through."""
    tree = tmp_path / "tree"
    for name, text in {"leaky/action.yml": LEAKY, ".github/workflows/user.yml": USER}.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    return tree


def test_an_action_gives_and_sees_only_what_is_declared(github: GitHub, tree: Path) -> None:
    outcome = github.run(tree, "user.yml")
    job = outcome.job("job")
    assert outcome.exit == 0, outcome.told
    assert job.outputs == {"declared": "1", "undeclared": ""}
    assert "[S][]" in job.log
    assert outcome.summary == "first\nsecond\n"


@pytest.mark.parametrize(
    "event",
    [
        Event(name="pull_request"),
        Event(name="repository_dispatch", payload={"action": "other"}),
        Event(name="workflow_dispatch", inputs={"size": "xl"}),
        Event(name="workflow_dispatch", inputs={"colour": "red"}),
    ],
)
def test_an_event_that_the_workflow_does_not_know_is_refused(github: GitHub, tree: Path, event: Event) -> None:
    with pytest.raises(AssertionError):
        github.run(tree, "user.yml", event)


def test_an_action_that_nothing_stands_for_is_refused(github: GitHub, tree: Path) -> None:
    file = tree / ".github" / "workflows" / "user.yml"
    file.write_text(file.read_text().replace("actions/checkout", "actions/unknown"))
    with pytest.raises(AssertionError, match="nothing stands in for actions/unknown"):
        github.run(tree, "user.yml")
