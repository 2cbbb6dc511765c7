"""Models to serve: the example project's flights, and small ones of other kinds, each as the folder of an image."""

import functools
import importlib.util
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from threadpoolctl import threadpool_limits

from model_ci import model
from model_ci.stages.build_image import bundle

EXAMPLE = Path(__file__).parents[2] / "example-project"
TARGET = "late"


@functools.cache
def flights() -> tuple[Any, pd.DataFrame]:
    """Return the example project's pipeline, fitted on two months, and rows of another."""
    spec = importlib.util.spec_from_file_location("flights_model", EXAMPLE / "flights" / "model.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    train = pd.concat([month(1), month(2)])
    estimator = module.build(max_iter=30, learning_rate=0.1, max_leaf_nodes=15)
    with threadpool_limits(1):  # threads that wait for each other on a busy machine take a hundred times as long
        estimator.fit(train.drop(columns=[TARGET, "scheduled"]), train[TARGET])
    return estimator, month(3).drop(columns=[TARGET, "scheduled"])


def month(number: int) -> pd.DataFrame:
    return pl.read_parquet(EXAMPLE / "data" / f"flights-2013-{number:02}.parquet").to_pandas()


def table(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Return columns of every kind, with gaps in two of them."""
    draw = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "size": draw.normal(size=rows),
            "count": draw.integers(0, 50, rows),
            "kind": draw.choice(["a", "b", "c"], rows),
            "grade": draw.choice([1.0, 2.0, 3.0, 4.0], rows),
            "open": draw.choice([True, False], rows),
        }
    )
    return made.assign(size=made["size"].mask(draw.random(rows) < 0.1), kind=made["kind"].mask(draw.random(rows) < 0.1))


def target(rows: pd.DataFrame) -> np.ndarray:
    return (rows["size"].fillna(0) + (rows["kind"] == "a") + 0.05 * rows["count"] > 1.4).to_numpy()  # type: ignore[no-any-return]


@functools.cache
def boosted() -> tuple[Any, pd.DataFrame]:
    """Return a pipeline with a few boosted trees, fitted on the table of columns of every kind, and that table."""
    rows = table()[["kind", "size", "count", "grade", "open"]].astype({"open": int})
    chosen = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), remainder="passthrough")
    estimator = make_pipeline(chosen, HistGradientBoostingClassifier(max_iter=12, min_samples_leaf=5, random_state=0))
    with threadpool_limits(1):
        return estimator.fit(rows, target(rows).astype(int)), rows


def make(
    into: Path,
    estimator: Any,
    rows: pd.DataFrame,
    task: str = "binary",
    engine: str = "auto",
    explain: pd.DataFrame | None = None,
    code: Sequence[Path] = (),
    version: str | None = "7",
) -> bundle.Bundle:
    """Save a fitted estimator as `train` does and make its bundle."""
    saved = into / "saved"
    with threadpool_limits(1):
        model.save(estimator, saved, rows, {file.stem: file for file in code})
    files = model.hash_files(saved)
    classes = [] if task == "regression" else list(estimator.classes_)
    # an estimator of a test's own comes from the test's module, as there is no other
    with model.own_code.space(saved / "code") if code else nullcontext():
        loaded = model.load(saved, classes=classes, features=list(rows.columns))
    source = bundle.Source(
        folder=saved, files=files, estimator=loaded.model, columns=loaded.columns, classes=loaded.classes,
        name="shop", task=task, run_id="20260101T000000000Z-0123abcd", version=version,
    )  # fmt: skip
    explained = bundle.Explain(background=explain, seed=0, tolerance=1e-3) if explain is not None else None
    folder = into / "srv"
    folder.mkdir()
    return bundle.create(source, rows, folder, engine=engine, explain=explained)
