"""Which store it is, and where its files are."""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model_ci.errors import ConfigError
from model_ci.registry.branch import read_message, write_message
from model_ci.registry.client import without_secrets
from model_ci.registry.integrity import differences, keep_only
from model_ci.registry.location import relocate
from model_ci.registry.store import kind_of


@pytest.mark.parametrize(
    ("store", "uri", "in_ci", "kind"),
    [
        ("auto", None, False, "file"),
        ("auto", None, True, "branch"),
        ("auto", "http://x", True, "server"),
        ("auto", "http://x", False, "server"),
        ("file", "http://x", True, "file"),
        ("branch", "http://x", False, "branch"),
        ("server", "http://x", False, "server"),
    ],
)
def test_chooses_the_store(
    store: str, uri: str | None, in_ci: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_ci.registry.recorded.store", lambda config, in_ci: None)
    if uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    assert kind_of(config(store), in_ci=in_ci) == kind


@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize("recorded", ["server", "branch", None])
@pytest.mark.parametrize("store", ["server", "auto", "branch"])
def test_a_missing_address_is_not_taken_for_no_server(
    store: str, recorded: str | None, empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_ci.registry.recorded.store", lambda config, in_ci: recorded)
    if empty:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    refused = store == "server" or (store == "auto" and (recorded == "server" or (empty and recorded is None)))
    if not refused:
        assert kind_of(config(store), in_ci=True) == "branch"
        return
    with pytest.raises(
        ConfigError, match=f"MLFLOW_TRACKING_URI is {'empty' if empty else 'not set'}; a platform gives"
    ):
        kind_of(config(store), in_ci=True)


def config(store: str) -> Any:
    return SimpleNamespace(file="model-ci.yaml", register=SimpleNamespace(store=store))


def test_moves_what_begins_with_the_old_place_and_nothing_else(tmp_path: Path) -> None:
    database = tmp_path / "some.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE runs (uri VARCHAR(200), note TEXT, number INTEGER)")
        connection.execute("INSERT INTO runs VALUES ('file:///old/a%b', 'see file:///old', 1), (NULL, '', 2)")

    relocate(database, "file:///old", "file:///new/place")

    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT * FROM runs ORDER BY number").fetchall()
    assert rows == [("file:///new/place/a%b", "see file:///old", 1), (None, "", 2)]


def test_tells_each_file_that_is_not_the_expected_one(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "same").write_bytes(b"")
    (tmp_path / "model" / "changed").write_bytes(b"1")
    (tmp_path / "model" / "more").write_bytes(b"1")
    (tmp_path / "outside").write_bytes(b"")
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    expected = dict.fromkeys(("same", "changed", "gone", "../outside"), nothing)

    told = list(differences(tmp_path / "model", expected))

    assert told == [
        "changed: has the hash 6b86b273ff34, expected e3b0c44298fc",
        "gone: is missing",
        "../outside: leads out of the model's folder",
    ]
    keep_only(tmp_path / "model", expected)
    assert sorted(f.name for f in (tmp_path / "model").iterdir()) == ["changed", "same"]


def test_the_champions_stand_in_the_commits_message() -> None:
    champions = {"shop": "3 run-3", "shop.v2": "1 run: 1"}

    assert read_message(write_message("shop", champions) + "\n\n[skip ci]\n") == champions
    assert read_message("Something else") == {}


def test_addresses_and_tokens_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token-of-mine")

    assert without_secrets("https://me:pass@host/a: token-of-mine") == "https://host/a: ***"
