"""What the report says of how two models were made: true whichever single thing is changed."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.conftest import Project

from model_ci.origin import difference
from model_ci.run import Run
from model_ci.stages.evaluate import section

Command = Callable[..., Any]
# What says where the rows are is compared as data, and the rest of these two is compared by what was done with it.
ELSEWHERE = {("data", "path"), ("train", "parameters"), ("train", "seed")}


def leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif path[:2] not in ELSEWHERE:
        yield path


def altered(record: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The record with one thing changed."""
    other = copy.deepcopy(record)
    *above, last = path
    place = other
    for key in above:
        place = place[key]
    place[last] = "another" if isinstance(place[last], str | None) else [place[last], "another"]
    return other


def said(champion: dict[str, Any], challenger: dict[str, Any]) -> tuple[list[str], str]:
    """The names of what changed, and the sentence."""
    theirs, mine = (difference.of(Run(Path(), record)) for record in (champion, challenger))
    version = SimpleNamespace(tags={difference.TAG: json.dumps(theirs, default=str)})
    made = difference.compare(mine, version)  # type: ignore[arg-type]
    assert made is not None
    blocks = section._made(made.changed, {"same": made.same, "unknown": made.unknown})
    text = " ".join(block.text for block in blocks if hasattr(block, "text"))
    return [change["what"] for change in made.changed], text


@pytest.fixture
def record(ran: Callable[..., Project]) -> dict[str, Any]:
    project = ran("--stages", "train")
    return project.record()  # type: ignore[no-any-return]


def test_every_single_change_is_named_and_its_group_is_not_called_the_same(record: dict[str, Any]) -> None:
    changed, text = said(record, record)
    assert not changed
    assert text == (
        "Made as the champion was: the same code, data, data settings, training settings, parameters and environment."
    )
    values = record["config"]["values"]
    paths = [("config", "values", *p) for name in ("data", "train") for p in leaves(values[name], (name,))]
    assert len(paths) > 30
    groups = {"data": "data settings", "train": "training settings"}
    singles = {
        ("code", "commit"): "code", ("code", "diff_sha256"): "code", ("environment", "python"): "environment",
        ("environment", "packages_sha256"): "environment", ("stages", "train", "data", "sha256"): "data",
        ("stages", "train", "data", "rows"): "data", ("stages", "train", "data", "train_rows"): "data",
        ("stages", "train", "data", "first"): "data", ("stages", "train", "data", "last"): "data",
        ("stages", "train", "data", "location"): "data", ("stages", "train", "seed"): "training settings",
        ("stages", "train", "how"): "training settings", ("stages", "train", "method", "used"): "training settings",
        ("stages", "train", "parameters", "C"): "parameters",
    }  # fmt: skip
    record["code"] |= {"dirty": True, "diff_sha256": "0" * 64}
    expected = {path: groups[path[2]] for path in paths} | singles
    for path, group in expected.items():
        changed, text = said(record, altered(record, path))
        assert len(changed) == 1, (path, changed)
        same = text.partition("the same ")[2].rstrip(".").replace(" and ", ", ").split(", ")
        assert group not in same, (path, text)
        assert len(same) == 5, (path, text)


def test_what_nobody_wrote_down_is_not_called_the_same(record: dict[str, Any]) -> None:
    unversioned = altered(record, ("code", "commit"))
    unversioned["code"]["commit"] = None
    changed, text = said(unversioned, unversioned)
    assert not changed
    assert "the same data," in text
    assert text.endswith("Not known of both: code.")


def test_a_champion_of_an_earlier_version_knows_less(record: dict[str, Any]) -> None:
    mine = difference.of(Run(Path(), record))
    theirs = {
        name: value
        for name, value in mine.items()
        if "settings" not in name and not name.startswith(("data.", "train."))
    }
    version = SimpleNamespace(tags={difference.TAG: json.dumps(theirs)})
    made = difference.compare(mine, version)  # type: ignore[arg-type]
    assert made is not None and not made.changed
    assert made.unknown == ["data settings", "training settings"]
    assert difference.compare(mine, SimpleNamespace(tags={})) is None  # type: ignore[arg-type]
