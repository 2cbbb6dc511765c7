"""A word of a closed set stands in one place: elsewhere its member is named, and the schemas allow the same words."""

import ast
import difflib
import json
from collections.abc import Iterator
from enum import StrEnum

import pytest
from tests.contract.test_architecture import PACKAGE, modules

from model_ci import terms
from model_ci.schema import load_schema

HOLDERS = ("verdict", "state", "comparison")
JUDGING = {str(member) for kind in (terms.Verdict, terms.State, terms.Comparison) for member in kind}
CLOSED = [v for v in vars(terms).values() if isinstance(v, type) and issubclass(v, StrEnum) and v is not StrEnum]


def bare_words(text: str) -> Iterator[str]:
    """Yield each text that a verdict, a state or a comparison is compared with, where it is, or nearly is, such a word."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare) and any(holds(part) for part in (node.left, *node.comparators)):
            yield from (word for part in node.comparators for word in texts(part) if near(word))
        elif isinstance(node, ast.Match) and holds(node.subject):
            values = [case.pattern.value for case in node.cases if isinstance(case.pattern, ast.MatchValue)]
            yield from (word for value in values for word in texts(value) if near(word))


def holds(node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in HOLDERS
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value in HOLDERS
    return isinstance(node, ast.Name) and node.id in HOLDERS


def texts(node: ast.expr) -> Iterator[str]:
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    yield from (part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def near(word: str) -> bool:
    return bool(difflib.get_close_matches(word, JUDGING, n=1, cutoff=0.8))


# Words of other sets: what check-drift finds of a window, as a whole.
OTHERS = {"stages/check_drift": {"not judged"}}


def test_no_verdict_and_no_state_is_compared_with_a_bare_word() -> None:
    bare = []
    for file in modules():
        name = file.relative_to(PACKAGE).as_posix()
        allowed = next((words for folder, words in OTHERS.items() if name.startswith(folder)), set())
        bare += [f"{name}: {word!r}" for word in bare_words(file.read_text()) if word not in allowed]
    assert not bare, "name the member of model_ci.terms instead"


@pytest.mark.parametrize(
    "text",
    [
        'gate["state"] == "pased"',
        'o.state in ("failed", "inconclusve")',
        'verdict != "faild"',
        'match x["verdict"]:\n    case "pass ed":\n        pass',
    ],
)
def test_a_misspelt_word_is_noticed(text: str) -> None:
    assert [*bare_words(text)]


def enums(node: object) -> Iterator[list[object]]:
    if isinstance(node, dict):
        if isinstance(node.get("enum"), list):
            yield node["enum"]
        for value in node.values():
            yield from enums(value)
    elif isinstance(node, list):
        for value in node:
            yield from enums(value)


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("register.store", terms.StoreKind),
        ("data.window.kind", terms.WindowKind),
        ("data.holdout.by", terms.HoldoutKind),
        ("$environment.target", terms.TargetKind),
    ],
)
def test_the_schema_of_the_configuration_allows_the_same_words(place: str, kind: type[StrEnum]) -> None:
    schema = load_schema("config")
    node = schema["$defs"][place[1:].partition(".")[0]] if place[0] == "$" else schema
    for part in place.split(".")[1:] if place[0] == "$" else place.split("."):
        node = node["properties"][part]
    assert [word for word in node["enum"] if word is not None] == [str(member) for member in kind]


def test_the_schema_of_the_record_knows_no_other_words() -> None:
    texts = {json.dumps(words) for words in enums(load_schema("run"))}
    words = [set(json.loads(text)) - {None} for text in texts]
    assert {"done", "passed", "failed"} in words
    for found in words:
        for kind in (terms.Verdict, terms.Comparison):
            known = {str(member) for member in kind}
            if len(found & known) >= 3:
                assert found <= known | {str(member) for member in terms.State}
    trigger = {str(member) for member in terms.Trigger}
    assert trigger in words


def test_members_are_written_as_the_plain_word() -> None:
    for kind in CLOSED:
        for member in kind:
            assert json.dumps(member) == f'"{member.value}"'
            assert f"{member}" == member.value
