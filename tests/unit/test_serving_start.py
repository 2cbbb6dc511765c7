"""What keeps a service from starting, and what it says then."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from tests.serving import models

from model_ci.errors import ConfigError
from model_ci.schema import problems
from model_ci.serving.manifest import Manifest, digest
from model_ci.serving.refusal import StartError
from model_ci.serving.service import Service
from model_ci.serving.settings import Settings
from model_ci.stages.build_image import bundle


def test_all_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(StartError) as refused:
        Settings.read(
            {"MODEL_CI_PORT": "x", "MODEL_CI_LOG_SAMPLE": "2", "MODEL_CI_DRAIN_S": "nan", "MODEL_CI_VARIANT": "ü"}
        )
    assert [p.partition(":")[0] for p in refused.value.problems] == [
        "MODEL_CI_PORT", "MODEL_CI_VARIANT", "MODEL_CI_LOG_SAMPLE", "MODEL_CI_DRAIN_S",
    ]  # fmt: skip


def test_an_empty_setting_is_the_default() -> None:
    assert Settings.read({"MODEL_CI_PORT": "", "MODEL_CI_PREDICTION_LOG": ""}) == Settings()
    assert Settings.read({"MODEL_CI_PORT": "0", "MODEL_CI_LOG_SAMPLE": "0.5"}) == Settings(port=0, log_sample=0.5)


@pytest.fixture
def folder(small_bundle_sklearn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_bundle_sklearn, tmp_path / "srv"))


def load(folder: Path) -> None:
    Service(Settings(), Manifest.read(folder / "manifest.json")).load()


def change(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    values = json.loads((folder / "manifest.json").read_text())
    edit(values)
    (folder / "manifest.json").write_text(json.dumps(values))


def test_what_was_not_touched_starts_and_is_by_the_schema(folder: Path, small_bundle: Path) -> None:
    load(folder)
    for made in (folder, small_bundle):
        assert not list(problems(json.loads((made / "manifest.json").read_text()), "manifest"))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda f: (f / "model" / "model.skops").write_bytes(b"x"), "model.skops: is not what the manifest vouches for"),
        (lambda f: (f / "model" / "MLmodel").unlink(), "MLmodel: cannot be read"),
        (lambda f: (f / "model" / "code").mkdir() or (f / "model/code/sklearn.py").write_text(""), "does not know this file"),
        (lambda f: change(f, lambda v: v["files"].pop("model/conda.yaml")), "does not know this file"),
        (lambda f: change(f, lambda v: v.update(digest="0" * 64)), "digest"),
        (lambda f: change(f, lambda v: v.update(schema_version=2)), "no manifest of version 1"),
        (lambda f: change(f, lambda v: v.update(engine="torch")), "engine must be"),
        (lambda f: change(f, lambda v: v.pop("probe")), "probe missing"),
        (lambda f: change(f, lambda v: v["probe"].pop("outputs")), "the manifest has no probe rows"),
        (lambda f: change(f, lambda v: v["probe"].update(probabilities=None)), "a malformed answer"),
        (lambda f: (f / "manifest.json").write_text("{"), "cannot be read"),
        (lambda f: change(f, lambda v: v["probe"]["outputs"].__setitem__(0, 9)), "does not answer its probe rows"),
        (lambda f: change(f, lambda v: v["probe"]["probabilities"][0].__setitem__(0, 0.123)), "probability 0 of row 0"),
        (lambda f: change(f, lambda v: v["probe"]["inputs"]["data"][0].__setitem__(0, 5)), "refuses its probe rows"),
        (lambda f: change(f, lambda v: v["sklearn"].update(trusted_types=[])), "cannot be loaded"),
        (lambda f: change(f, lambda v: v["sklearn"].update(format="joblib")), "'joblib' is not known"),
        (lambda f: change(f, lambda v: v["sklearn"].update(file="../else.skops")), "does not vouch for this file"),
    ],
)  # fmt: skip
def test_what_was_touched_does_not_start(folder: Path, harm: Callable[[Path], Any], told: str) -> None:
    harm(folder)
    with pytest.raises(StartError) as refused:
        load(folder)
    assert told in str(refused.value)


def test_a_pickle_is_opened_only_where_its_hash_is_the_manifests(tmp_path: Path) -> None:
    rows = models.table().dropna()[["size", "count"]]
    estimator = LogisticRegression().fit(rows, rows["size"] > 0)
    estimator.note = lambda: None  # skops cannot hold it
    made = models.make(tmp_path, estimator, rows, engine="sklearn")
    assert made.manifest["sklearn"]["format"] == "cloudpickle"
    load(made.folder)
    trap = tmp_path / "opened"
    evil = f"cos\nsystem\n(S'touch {trap}'\ntR.".encode()
    file = made.folder / made.manifest["sklearn"]["file"]
    file.write_bytes(evil)
    with pytest.raises(StartError, match="vouches"):
        load(made.folder)
    assert not trap.exists()


def test_equal_files_have_an_equal_digest() -> None:
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"}) != digest({"a": "2", "b": "1"})


def test_a_bundle_of_files_that_are_not_as_recorded_is_not_made(tmp_path: Path) -> None:
    rows = models.table().dropna()[["size", "count"]]
    estimator = LogisticRegression().fit(rows, rows["size"] > 0)
    models.make(tmp_path, estimator, rows)
    source = bundle.Source(
        folder=tmp_path / "saved", files={"MLmodel": "0" * 64}, estimator=estimator, columns=list(rows.columns),
        classes=[False, True], name="shop", task="binary", run_id="r",
    )  # fmt: skip
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigError, match="not as recorded"):
        bundle.create(source, rows, tmp_path / "other")
    assert not (tmp_path / "other" / "manifest.json").exists()
