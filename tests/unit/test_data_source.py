"""Which files are the data, and which version of it."""

import hashlib
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.windows import csv, held_out, window

from model_ci.config import Data
from model_ci.data import hashes, pointer, source
from model_ci.data.hashes import Hashes
from model_ci.errors import ConfigError


def data(path: str) -> Data:
    return Data(
        path=path,
        target="y",
        time_column=None,
        features=None,
        exclude=(),
        csv=csv(),
        until=None,
        window=window(),
        holdout=held_out(by="random"),
    )


def put(root: Path, name: str, text: str = "a,y\n1,0\n") -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def settle(*files: Path) -> None:
    """Let files look as old as data mostly is, so that their hashes may be remembered."""
    for file in files:
        os.utime(file, ns=(1_700_000_000_123_456_789,) * 2)
    time.sleep(0.15)  # the change of the times is itself a change, and this is the clock's tick


def version(root: Path, path: str) -> source.DataVersion:
    return source.version(source.resolve(data(path), root))


def test_a_glob_is_its_files_in_order(tmp_path: Path) -> None:
    for name in ("d/b.csv", "d/a.csv", "d/c.csv.dvc", "d/deep/x.csv"):
        put(tmp_path, name, "outs: []\n" if name.endswith(".dvc") else "a\n1\n")
    names = [f.name for f in source.resolve(data("d/*"), tmp_path).files]
    assert names == ["a.csv", "b.csv"]
    deep = source.resolve(data("d/**/*.csv"), tmp_path)
    assert [f.relative_to(tmp_path).as_posix() for f in deep.files] == ["d/a.csv", "d/b.csv", "d/deep/x.csv"]


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path) -> None:
    put(tmp_path, "flights[1].csv")
    assert len(source.resolve(data("flights[1].csv"), tmp_path).files) == 1


@pytest.mark.parametrize(
    ("files", "path", "says"),
    [
        ([], "no.csv", "no file matches no.csv"),
        (["d/a.csv"], "d", "d is a folder; name its files, such as d/*.parquet"),
        (["a.csv", "b.parquet"], "*", "csv and parquet"),
        (["a.txt"], "a.txt", "a.txt: neither .csv nor .parquet"),
        (["d/a.xlsx", "d/b.txt"], "d/*", "d/b.txt: neither"),
    ],
)
def test_what_is_no_data_is_refused(tmp_path: Path, files: list[str], path: str, says: str) -> None:
    for name in files:
        put(tmp_path, name)
    with pytest.raises(ConfigError) as caught:
        source.resolve(data(path), tmp_path)
    assert says in str(caught.value)


def test_the_hash_of_the_list_is_what_sha256sum_says(tmp_path: Path) -> None:
    for name in ("d/a.csv", "d/b.csv"):
        put(tmp_path, name, f"a\n{name}\n")
    found = version(tmp_path, "d/*.csv")
    listing = subprocess.run(["sha256sum", "d/a.csv", "d/b.csv"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert found.sha256 == hashlib.sha256(listing).hexdigest()
    record = found.as_record()
    assert record["files"][0] == {
        "path": "d/a.csv",
        "bytes": 10,
        "sha256": hashlib.sha256(b"a\nd/a.csv\n").hexdigest(),
    }
    assert record["dvc"] is None


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(tmp_path, "a.csv")
    settle(file)
    first = version(tmp_path, "a.csv")
    monkeypatch.setattr(hashes, "_read", lambda *_: pytest.fail("read again"))
    assert version(tmp_path, "a.csv") == first


@pytest.mark.parametrize("age", ["old", "new"])
def test_a_change_of_the_same_length_is_seen(tmp_path: Path, age: str) -> None:
    file = put(tmp_path, "a.csv", "a,y\n1,0\n")
    if age == "old":
        settle(file)
    first = version(tmp_path, "a.csv")
    file.write_text("a,y\n1,1\n")
    assert version(tmp_path, "a.csv").sha256 != first.sha256


def test_a_hash_taken_within_the_clocks_tick_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(tmp_path, "a.csv")
    now = time.time_ns()
    # The clock stands still: a change in the tick of the hash leaves no trace in the stamp.
    monkeypatch.setattr(hashes, "stamp", lambda _: (8, now, now, 1))
    first = version(tmp_path, "a.csv")
    file.write_text("a,y\n1,1\n")
    assert version(tmp_path, "a.csv").sha256 != first.sha256


@pytest.mark.parametrize(("nanoseconds", "trusted"), [(123_456_789, True), (0, False)])
def test_clocks_of_whole_seconds_are_trusted_later(nanoseconds: int, trusted: bool) -> None:
    moment = 1_700_000_000 * 10**9 + nanoseconds
    assert hashes._settled((8, moment, moment, 1), began_ns=moment + 500_000_000) is trusted
    assert hashes._settled((8, moment, moment, 1), began_ns=moment + 3_000_000_000)


def test_a_file_that_grows_while_it_is_hashed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, read = put(tmp_path, "a.csv"), hashes._read

    def grow(*given: Any) -> dict[str, str]:
        found = read(*given)
        file.write_text("longer than before")
        return found

    monkeypatch.setattr(hashes, "_read", grow)
    with pytest.raises(ConfigError, match=r"a\.csv: changed while its hash was taken"):
        version(tmp_path, "a.csv")


@pytest.mark.parametrize("cache", ["", "[]", '{"x": 3}', "\0"])
def test_a_broken_cache_is_no_obstacle(tmp_path: Path, cache: str) -> None:
    put(tmp_path, "a.csv")
    put(tmp_path, str(hashes.CACHE), cache)
    assert version(tmp_path, "a.csv").files[0].bytes == 8


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    file = put(tmp_path, "a.csv")
    settle(file)
    put(tmp_path, ".model-ci", "a file where the folder should be")
    assert version(tmp_path, "a.csv").files[0].bytes == 8


def test_files_that_are_gone_leave_the_cache(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        settle(put(tmp_path, name))
        version(tmp_path, name)
    assert "b.csv" in (tmp_path / hashes.CACHE).read_text()
    (tmp_path / "b.csv").unlink()
    settle(put(tmp_path, "c.csv"))
    version(tmp_path, "c.csv")
    assert "b.csv" not in (tmp_path / hashes.CACHE).read_text()


def test_data_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    file = put(tmp_path, "a.csv")
    found = source.resolve(data("a.csv"), tmp_path)
    read = source.version(found)
    source.confirm(found, read)
    file.write_text("a,y\n1,0\n1,1\n")
    with pytest.raises(ConfigError, match=r"a\.csv: changed while it was read"):
        source.confirm(found, read)


def test_a_pointer_agrees_with_the_bytes_or_not(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    file = put(tmp_path, "d/a.csv")
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    put(tmp_path, "d/a.csv.dvc", f"outs:\n- md5: {md5}\n  path: a.csv\n")
    found = version(tmp_path, "d/*.csv").dvc
    assert found is not None
    assert [(p.path, p.md5, p.matches) for p in found] == [("d/a.csv", md5, True)]
    file.write_text("other\n")
    found = version(tmp_path, "d/*.csv").dvc
    assert found is not None
    assert not found[0].matches


@pytest.mark.parametrize(
    ("tracked", "wanted", "concerns"),
    [
        ("d/a.csv", "d/*.csv", True),
        ("d/a.bin", "d/*.csv", False),
        ("d/deep/a.csv", "d/*.csv", False),
        ("d/deep/a.csv", "d/**/*.csv", True),
        ("d/deep", "d/*/*.csv", True),
        ("d/other", "d/deep/*.csv", False),
        ("d", "d/deep/a.csv", True),
        ("d/a[1].csv", "d/a[1].csv", True),
    ],
)
def test_only_what_the_path_may_name_is_of_concern(tmp_path: Path, tracked: str, wanted: str, concerns: bool) -> None:
    md5 = "0" * 32 + (".dir" if "." not in tracked else "")
    found = pointer.Pointer(path=tmp_path / tracked, md5=md5, file=tmp_path / "x.dvc")
    assert found.concerns(tmp_path / wanted) is concerns


def test_what_is_of_no_concern_is_not_pulled(tmp_path: Path) -> None:
    put(tmp_path, "d/a.csv")
    put(tmp_path, "d/other.bin.dvc", "outs:\n- md5: x\n  path: other.bin\n")
    assert source.resolve(data("d/*.csv"), tmp_path).pointers == ()


def test_the_outputs_of_a_pipeline_are_found_in_its_lock(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    put(tmp_path, "project/work/a.csv")
    put(tmp_path, "project/dvc.yaml", "stages:\n  prepare:\n    wdir: work\n    cmd: x\n    outs: [a.csv]\n")
    put(
        tmp_path,
        "project/dvc.lock",
        "schema: '2.0'\nstages:\n  prepare:\n    cmd: x\n    outs:\n    - {path: a.csv, md5: x}\n",
    )
    found = source.resolve(data("work/a.csv"), tmp_path / "project").pointers
    assert [p.path.relative_to(tmp_path).as_posix() for p in found] == ["project/work/a.csv"]


def test_a_broken_pointer_names_its_file(tmp_path: Path) -> None:
    put(tmp_path, "a.csv.dvc", "outs: [\n")
    with pytest.raises(ConfigError, match=r"a\.csv\.dvc: DVC's file cannot be read"):
        source.resolve(data("a.csv"), tmp_path)


def test_absent_data_without_dvc_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.csv.dvc", "outs:\n- md5: 0\n  path: a.csv\n".replace("0", "'0'"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"a\.csv: absent here and tracked by DVC.*model-ci\[dvc\].*model-ci\[s3\]"):
        source.resolve(data("a.csv"), tmp_path)


def test_a_file_that_goes_away_is_refused(tmp_path: Path) -> None:
    file = put(tmp_path, "a.csv")
    with pytest.raises(ConfigError, match="cannot be read"):
        Hashes(tmp_path).of(file.with_name("gone.csv"), "sha256")
