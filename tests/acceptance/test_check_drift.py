"""`model-ci check-drift` through its front door: what drifts, what does not, and what cannot be judged."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import write_rows

Command = Callable[..., Any]


def section(project: Any) -> dict[str, Any]:
    return project.record()["stages"]["check-drift"]  # type: ignore[no-any-return]


def column(project: Any, name: str) -> dict[str, Any]:
    return next(c for c in section(project)["columns"] if c["name"] == name)


def rows_file(
    root: Path, name: str = "now.csv", rows: int = 300, shift: float = 0.0, kinds: str = "abc", seed: int = 5
) -> None:
    """Write rows of the time after the training's, with `size` moved and `kind` drawn from other kinds."""
    draw = random.Random(seed)
    lines = ["day,size,age,kind"]
    for i in range(rows):
        day = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=i * 20 // max(rows, 1))
        lines.append(f"{day:%Y-%m-%d},{draw.gauss(shift, 1):.6f},{draw.randint(1, 90)},{draw.choice(kinds)}")
    (root / name).write_text("\n".join(lines) + "\n")


@pytest.fixture
def watched(project: Any) -> Any:
    """Configure a check of a table against a table."""
    write_rows(project.root / "data.csv", rows=2000)
    project.configure(check_drift={"rows": "now.csv", "reference": "data.csv"})
    return project


def test_the_same_rows_do_not_drift(watched: Any, command: Command) -> None:
    rows_file(watched.root)
    answer = command(watched.root, "check-drift")
    assert answer.code == 0, answer.text
    found = section(watched)
    assert (found["state"], found["verdict"], found["share"]) == ("no drift", "passed", 0)
    assert {c["name"] for c in found["columns"]} == {"size", "age", "kind"}
