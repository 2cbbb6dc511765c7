"""Bundles that many tests serve, made once."""

from pathlib import Path

import pytest
from tests import shared
from tests.serving import models


@pytest.fixture(scope="session")
def flights_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example project's flights, through ONNX, with explanations."""

    def make(folder: Path) -> None:
        folder.mkdir()
        estimator, rows = models.flights()
        made = models.make(folder, estimator, rows, explain=rows.tail(100))
        assert made.manifest["engine"] == "onnx", made.manifest["why"]

    return shared.made("onnx-bundle", tmp_path_factory, make) / "srv"


@pytest.fixture(scope="session")
def flights_bundle_sklearn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model through scikit-learn, without explanations."""

    def make(folder: Path) -> None:
        folder.mkdir()
        estimator, rows = models.flights()
        models.make(folder, estimator, rows, engine="sklearn")

    return shared.made("sklearn-bundle", tmp_path_factory, make) / "srv"


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of columns of every kind, through ONNX."""

    def make(folder: Path) -> None:
        folder.mkdir()
        made = models.make(folder, *models.boosted(), engine="onnx")
        assert made.manifest["engine"] == "onnx", made.manifest["why"]

    return shared.made("small-onnx-bundle", tmp_path_factory, make) / "srv"


@pytest.fixture(scope="session")
def small_bundle_sklearn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model through scikit-learn."""

    def make(folder: Path) -> None:
        folder.mkdir()
        models.make(folder, *models.boosted(), engine="sklearn")

    return shared.made("small-sklearn-bundle", tmp_path_factory, make) / "srv"
