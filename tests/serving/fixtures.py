"""Bundles that many tests serve, made once."""

from pathlib import Path

import pytest
from tests.serving import models


@pytest.fixture(scope="session")
def flights_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example project's flights, through ONNX, with explanations."""
    estimator, rows = models.flights()
    made = models.make(tmp_path_factory.mktemp("onnx"), estimator, rows, explain=rows.tail(100))
    assert made.manifest["engine"] == "onnx", made.manifest["why"]
    return made.folder


@pytest.fixture(scope="session")
def flights_bundle_sklearn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model through scikit-learn, without explanations."""
    estimator, rows = models.flights()
    return models.make(tmp_path_factory.mktemp("sklearn"), estimator, rows, wanted="sklearn").folder
