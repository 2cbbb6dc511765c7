"""What an untrusted job hands over: a record, or a refusal in one line."""

import io
import json
import stat
import zipfile
from typing import Any

import pytest
from tests.forge.records import record

from model_ci.errors import ConfigError
from model_ci.forge import handover


def archive(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries:
            made.writestr(name, content)
    return buffer.getvalue()


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def refused(content: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        handover.from_archive(content, "artifact 1")
    assert all("\n" not in problem and len(problem) <= 400 for problem in caught.value.problems)
    assert all(problem.startswith("artifact 1: ") for problem in caught.value.problems)
    return str(caught.value)


GOOD = json.dumps(record()).encode()


def test_a_record_is_read() -> None:
    assert handover.from_archive(archive(("run.json", GOOD)), "artifact 1") == record()


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([], "must hold run.json once"),
        ([("other.json", GOOD)], "must hold run.json once"),
        ([("run.json", GOOD), ("../../etc/cron.d/x", b"")], "no plain file"),
        ([("run.json", GOOD), ("/etc/passwd", b"")], "no plain file"),
        ([("run.json", GOOD), ("a\\b", b"")], "no plain file"),
        ([("run.json", GOOD), ("C:x", b"")], "no plain file"),
        ([("run.json", GOOD), ("..", b"")], "no plain file"),
        ([("run.json", GOOD), ("model/", b"")], "no plain file"),
        ([(entry("run.json", stat.S_IFLNK | 0o777), b"/etc/passwd")], "no plain file"),
        ([(entry("run.json", stat.S_IFIFO | 0o600), b"")], "no plain file"),
        ([("run.json", GOOD), *((f"{i}", b"") for i in range(100))], "and little else"),
        ([("run.json", b" " * 5_000_000)], "more than 4,194,304 bytes"),
    ],
)
def test_an_archive_that_is_no_record_is_refused(entries: list[tuple[str, bytes]], why: str) -> None:
    assert why in refused(archive(*entries))


def test_two_entries_of_one_name_are_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = archive(("run.json", GOOD), ("run.json", GOOD))
    assert "must hold run.json once" in refused(content)


def test_an_archive_that_lies_about_its_size_is_read_no_further_than_the_limit() -> None:
    content = archive(("run.json", b" " * 50_000_000))
    assert len(content) < 100_000
    claims = content.replace((50_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert claims != content
    refused(claims)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", archive(("run.json", GOOD))[:-30]])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    assert "cannot be read as a zip archive" in refused(content)


def test_an_entry_that_is_broken_is_refused() -> None:
    content = bytearray(archive(("run.json", GOOD)))
    content[60:90] = b"\xff" * 30
    refused(bytes(content))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"\xff\xfe", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"9" * 5_000, "is not JSON"),
        (b'{"a": NaN}', "no number that a record may hold"),
        (b'{"a": 1e999}', "no number that a record may hold"),
        (b"[]", "must be"),
        (b"{}", "is missing"),
        (b'{"\\n::error::forged": 1}', "unknown key"),
    ],
)
def test_text_that_is_no_record_is_refused(text: bytes, why: str) -> None:
    assert why in refused(archive(("run.json", text)))


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"verdict": "yes"},
        {"run_id": "../../x"},
        {"extra": 1},
        {"stages": {"deploy": {}}},
        {"model": "x"},
    ],
)
def test_a_record_that_is_not_by_the_schema_is_refused(change: dict[str, Any]) -> None:
    refused(archive(("run.json", json.dumps(record() | change).encode())))
