"""Data that DVC tracks: real repositories, a local remote, and S3."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.windows import csv, held_out, window

from model_ci.config import Data
from model_ci.data import source
from model_ci.errors import ConfigError, ServiceError

ROWS = "a,y\n1,0\n2,1\n"


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


def dvc(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments, "--quiet"],
        cwd=root,
        env=os.environ | {"DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(ROWS.replace("2", name))


def forget(root: Path, *names: str) -> None:
    """Leave what a fresh clone has: the pointers, without data and cache."""
    shutil.rmtree(root / ".dvc" / "cache", ignore_errors=True)
    for name in names:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A DVC repository without git, with a folder as its remote."""
    root = tmp_path / "repository"
    root.mkdir()
    dvc(root, "init", "--no-scm")
    dvc(root, "remote", "add", "--default", "store", str(tmp_path / "remote"))
    return root


def test_absent_files_are_pulled(repository: Path) -> None:
    write(repository, "data/1.csv", "data/2.csv", "data/other.bin")
    dvc(repository, "add", "data/1.csv", "data/2.csv", "data/other.bin")
    dvc(repository, "push")
    before = source.version(source.resolve(data("data/*.csv"), repository))
    forget(repository, "data/1.csv", "data/2.csv", "data/other.bin")
    after = source.version(source.resolve(data("data/*.csv"), repository))
    assert (after.sha256, after.dvc) == (before.sha256, before.dvc)
    assert after.dvc is not None
    assert [(p.path, p.matches) for p in after.dvc] == [("data/1.csv", True), ("data/2.csv", True)]
    assert not (repository / "data/other.bin").exists(), "what nobody asked for stays away"


def test_one_absent_file_of_a_glob_is_pulled(repository: Path) -> None:
    write(repository, "data/1.csv", "data/2.csv")
    dvc(repository, "add", "data/1.csv", "data/2.csv")
    dvc(repository, "push")
    (repository / "data/2.csv").unlink()
    assert len(source.resolve(data("data/*.csv"), repository).files) == 2


def test_an_absent_folder_is_pulled(tmp_path: Path) -> None:
    """In a project below the repository's root, as `dvc init --subdir` has it beside git."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    root = tmp_path / "project"
    root.mkdir()
    dvc(root, "init", "--subdir")
    dvc(root, "remote", "add", "--default", "store", str(tmp_path / "remote"))
    write(root, "data/2024/1.csv", "data/2024/2.csv", "data/readme.md")
    dvc(root, "add", "data")
    dvc(root, "push")
    forget(root, "data")
    found = source.version(source.resolve(data("data/*/*.csv"), root))
    assert [f.path for f in found.files] == ["data/2024/1.csv", "data/2024/2.csv"]
    assert found.dvc is not None
    assert found.dvc[0].md5.endswith(".dir")
    assert found.dvc[0].matches
    (root / "data/2024/1.csv").write_text("changed")
    changed = source.version(source.resolve(data("data/*/*.csv"), root))
    assert changed.dvc is not None
    assert not changed.dvc[0].matches


def test_the_output_of_a_pipeline_is_pulled(repository: Path) -> None:
    (repository / "dvc.yaml").write_text(
        f"stages:\n  prepare:\n    cmd: {sys.executable} -c \"open('out.csv', 'w').write('a,y')\"\n    outs: [out.csv]\n"
    )
    dvc(repository, "repro")
    dvc(repository, "push")
    forget(repository, "out.csv")
    found = source.version(source.resolve(data("out.csv"), repository))
    assert found.files[0].bytes == 3
    assert found.dvc is not None
    assert found.dvc[0].matches


def test_a_project_below_the_repository(repository: Path) -> None:
    write(repository, "data/1.csv")
    dvc(repository, "add", "data/1.csv")
    dvc(repository, "push")
    forget(repository, "data/1.csv")
    (repository / "models" / "one").mkdir(parents=True)
    found = source.version(source.resolve(data("../../data/1.csv"), repository / "models" / "one"))
    assert found.files[0].path == "../../data/1.csv"
    assert found.dvc is not None


def test_a_remote_without_the_data_says_push(repository: Path) -> None:
    write(repository, "data/1.csv")
    dvc(repository, "add", "data/1.csv")
    forget(repository, "data/1.csv")
    with pytest.raises(ServiceError, match=r"data/1\.csv: `dvc pull` failed: .*run `dvc push` where the data is"):
        source.resolve(data("data/1.csv"), repository)


def test_without_a_remote_it_says_which_command(repository: Path) -> None:
    write(repository, "data/1.csv")
    dvc(repository, "add", "data/1.csv")
    dvc(repository, "remote", "remove", "store")
    forget(repository, "data/1.csv")
    with pytest.raises(ConfigError, match="name the remote with `dvc remote add --default`"):
        source.resolve(data("data/1.csv"), repository)


def test_a_pointer_outside_a_repository_says_so(repository: Path, tmp_path: Path) -> None:
    write(repository, "1.csv")
    dvc(repository, "add", "1.csv")
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(repository / "1.csv.dvc", alone)
    with pytest.raises(ConfigError, match=r"not inside of a DVC repository.*commit the \.dvc folder"):
        source.resolve(data("1.csv"), alone)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server on this machine, with one bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_DEFAULT_REGION", "x")):
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1").create_bucket(Bucket="bucket")
    yield f"http://{host}:{port}"
    server.stop()


def test_data_on_s3(repository: Path, s3: str) -> None:
    dvc(repository, "remote", "modify", "store", "url", "s3://bucket/data")
    dvc(repository, "remote", "modify", "store", "endpointurl", s3)
    write(repository, "data/1.csv", "data/2.csv")
    dvc(repository, "add", "data/1.csv", "data/2.csv")
    dvc(repository, "push")
    before = source.version(source.resolve(data("data/*.csv"), repository))
    forget(repository, "data/1.csv", "data/2.csv")
    assert source.version(source.resolve(data("data/*.csv"), repository)).sha256 == before.sha256


def test_s3_that_is_away_or_without_credentials(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(repository, "1.csv")
    dvc(repository, "add", "1.csv")
    forget(repository, "1.csv")
    dvc(repository, "remote", "modify", "store", "url", "s3://bucket/data")
    dvc(repository, "remote", "modify", "store", "endpointurl", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ServiceError, match=r"Unable to locate credentials.*that its credentials are set here"):
        source.resolve(data("1.csv"), repository)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ServiceError, match="see that the remote is up"):
        source.resolve(data("1.csv"), repository)
