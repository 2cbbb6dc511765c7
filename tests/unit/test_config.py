"""The configuration: typed objects that say what the schema says, defaults that exist once, no input that upsets it."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from model_ci import config
from model_ci.errors import ConfigError
from model_ci.schema import Document, load_schema, problems

EXAMPLES = Path(__file__).parents[1] / "examples" / "valid"


def load(tmp_path: Path, text: str, *overrides: str) -> config.Config:
    file = tmp_path / "model-ci.yaml"
    file.write_text(text)
    return config.load(file, overrides)


SMALLEST = (EXAMPLES / "smallest" / "model-ci.yaml").read_text()


def test_defaults_come_from_the_schema(tmp_path: Path) -> None:
    loaded = load(tmp_path, SMALLEST)
    schema = load_schema("config")["properties"]
    assert loaded.train.seed == schema["train"]["properties"]["seed"]["default"]
    assert loaded.data.holdout.share == schema["data"]["properties"]["holdout"]["properties"]["share"]["default"]
    assert loaded.record.branch == "model-ci/records"
    assert loaded.data.holdout.by == "random"
    assert load(tmp_path, SMALLEST, "data.time_column=day").data.holdout.by == "time"


def test_every_section_and_key_is_typed_and_described() -> None:
    def compare(kind: Any, schema: dict[str, Any], where: str) -> None:
        schema = load_schema("config")["$defs"]["gate"] if "$ref" in schema else schema
        names = {f.name.replace("_", "-") if where == "top" else f.name for f in fields(kind)}
        assert names - {"root", "file", "values"} == set(schema["properties"]), where
        hints = get_type_hints(kind)
        for key, sub in schema["properties"].items():
            assert sub.get("description"), f"{where}.{key} is not described"
            inner = hints[key.replace("-", "_")]
            if is_dataclass(inner):
                compare(inner, sub, key)

    compare(config.Config, load_schema("config"), "top")
    compare(config.Gate, load_schema("config")["$defs"]["gate"], "gate")
    compare(config.Environment, load_schema("config")["$defs"]["environment"], "environment")


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("train.parameters.depth=4", lambda c: c.train.parameters["depth"] == 4),
        ("train.parameters.kind=gini", lambda c: c.train.parameters["kind"] == "gini"),
        ("train.parameters.on=true", lambda c: c.train.parameters["on"] is True),
        ("train.parameters={a: 1, b: [2]}", lambda c: c.train.parameters == {"a": 1, "b": [2]}),
        ("evaluate.gates.0.min=0.9", lambda c: c.evaluate.gates[0].min == 0.9),
        ("data.until=2024-05-01", lambda c: c.data.until == "2024-05-01"),
        ("train.parameters.x=a=b", lambda c: c.train.parameters["x"] == "a=b"),
    ],
)
def test_overrides(tmp_path: Path, setting: str, read: Any) -> None:
    assert read(load(tmp_path, SMALLEST, "data.time_column=day", setting))


def test_environment_is_expanded_only_where_the_schema_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "here")
    text = SMALLEST.replace("data.csv", "'${PLACE}/data.csv'")
    loaded = load(tmp_path, text, "train.parameters.x=${PLACE}")
    assert loaded.data.path == "here/data.csv"
    assert loaded.train.parameters["x"] == "${PLACE}"


def test_every_problem_at_once_with_its_place(tmp_path: Path) -> None:
    text = SMALLEST.replace("binary", "binry").replace("0.6", ".nan").replace("target", "traget")
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text)
    assert len(raised.value.problems) == 4
    assert all(p.startswith(f"{tmp_path}/model-ci.yaml:") for p in raised.value.problems)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
paths = st.sampled_from(
    ["model", "model.name", "model.task", "data", "data.window", "data.window.last", "data.holdout.share", "data.features",
     "train", "train.parameters", "train.seed", "train.code", "evaluate", "evaluate.gates", "evaluate.metrics", "record", "x"]
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(path=paths, value=values)
def test_no_value_anywhere_gives_anything_but_a_config_or_a_config_error(path: str, value: Any) -> None:
    document = yaml.safe_load(SMALLEST)
    spot = document
    *above, last = path.split(".")
    for key in above:
        spot = spot.setdefault(key, {})
    spot[last] = value
    _survives(yaml.safe_dump(document, allow_unicode=True))


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=60) | st.binary(max_size=40).map(lambda b: b.decode("latin-1")))
def test_no_text_gives_anything_but_a_config_or_a_config_error(text: str) -> None:
    _survives(text)
    _survives(SMALLEST + text)


def _survives(text: str) -> None:
    found = Document(text, "f")
    if isinstance(found.value, dict):
        messages = [f"{found.where(path)}: {message}" for path, message in problems(found.value, "config")]
        assert all(m.startswith("f:") for m in messages)
        if not messages and not found.problems:
            json.dumps(found.value)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=30), dotted=st.text(max_size=20))
def test_no_override_gives_a_traceback(text: str, dotted: str) -> None:
    document = Document(SMALLEST, "f")
    document.override(dotted, text)
