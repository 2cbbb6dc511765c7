"""Answers are compared in one way, wherever they are compared: each fault is refused by the start, the trial, parity and deploy."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tests.serving import models

from model_ci import config as configuration
from model_ci.errors import ServiceError
from model_ci.release import smoke
from model_ci.serving import engine
from model_ci.serving.comparison import Answers, compare
from model_ci.serving.manifest import Manifest
from model_ci.serving.predictions import Predictions
from model_ci.serving.probe import Probe
from model_ci.serving.refusal import StartError
from model_ci.serving.service import Service
from model_ci.serving.settings import Settings
from model_ci.serving.signature import Rows, Signature
from model_ci.serving.sklearn_engine import SklearnEngine
from model_ci.stages.build_image import parity, trial
from model_ci.targets import CHAMPION, Answer, RolloutError, Variant

ONE = Variant(name=CHAMPION, image="i1", digest="sha256:1", version="1", run_id="r", weight=100, replicas=1)
SETTINGS = configuration.Smoke(tolerance=1e-6, requests=6, max_latency_ms=None, timeout_s=5)

Fault = Callable[[list[Any], list[list[float]]], tuple[Any, Any]]
FAULTS: dict[str, Fault] = {
    "fewer rows": lambda labels, chances: (labels[:-1], chances[:-1]),
    "more rows": lambda labels, chances: ([*labels, labels[0]], [*chances, chances[0]]),
    "no rows": lambda labels, chances: ([], []),
    "probabilities of fewer rows": lambda labels, chances: (labels, chances[:-1]),
    "empty rows of probabilities": lambda labels, chances: (labels, [[] for _ in chances]),
    "a class less": lambda labels, chances: (labels, [row[:-1] for row in chances]),
    "no probabilities": lambda labels, chances: (labels, None),
    "classes in another sequence": lambda labels, chances: (labels, [row[::-1] for row in chances]),
    "a probability is NaN": lambda labels, chances: (labels, [[math.nan] * len(row) for row in chances]),
    "a probability is infinite": lambda labels, chances: (labels, [[math.inf] * len(row) for row in chances]),
    "labels of another type": lambda labels, chances: ([float(label) for label in labels], chances),
    "labels as text": lambda labels, chances: ([str(label) for label in labels], chances),
    "swapped rows": lambda labels, chances: (labels[::-1], chances[::-1]),
    "another label": lambda labels, chances: ([1 - labels[0], *labels[1:]], chances),
    "another probability": lambda labels, chances: (labels, [[p + 1e-3 for p in row] for row in chances]),
}
NUMBERS: dict[str, Fault] = {
    "probabilities": lambda labels, _: (labels, [[1.0] for _ in labels]),
    "whole numbers": lambda labels, _: ([round(label) for label in labels], None),
    "null": lambda labels, _: ([None for _ in labels], None),
    "NaN": lambda labels, _: ([math.nan for _ in labels], None),
    "infinite": lambda labels, _: ([math.inf for _ in labels], None),
    "above the tolerance": lambda labels, _: ([label + 1e-3 for label in labels], None),
    "fewer": lambda labels, _: (labels[1:], None),
    "swapped": lambda labels, _: (labels[::-1], None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = models.table().dropna()[["size", "count"]]
    estimator = LogisticRegression().fit(rows, models.target(models.table().dropna()).astype(int))
    made = models.make(tmp_path_factory.mktemp("answers"), estimator, rows, engine="sklearn")
    assert {0, 1} == set(made.manifest["probe"]["outputs"][:8])  # a request of the smoke test has both
    return made.folder


class Faulty:
    """An engine, or a service, that answers as the model would but for a fault."""

    def __init__(self, folder: Path, fault: Fault) -> None:
        self.manifest = Manifest.read(folder / "manifest.json")
        self.probe = Probe.read(self.manifest.values)
        self.fault = fault
        signature = Signature.read(self.manifest["signature"])
        self.good = engine.load(self.manifest, signature, 1)
        self.signature = signature

    def predict(self, rows: Rows) -> Predictions:
        answers = Answers.of(self.good.predict(rows))
        if rows.count < 8:  # only what is compared is to be at fault
            return self.good.predict(rows)
        labels, chances = self.fault(list(answers.labels), copy.deepcopy(answers.probabilities or []))
        return Predictions(labels=np.array(labels), probabilities=None if chances is None else np.array(chances))

    def body(self, sent: bytes) -> bytes:
        rows = len(json.loads(sent)["dataframe_split"]["data"])
        start = next(
            s
            for s in range(len(self.probe.rows))
            if json.loads(sent)["dataframe_split"]["data"][0] == self.probe.rows[s]
        )
        expected = self.probe.expected.part(slice(start, start + rows))
        labels, chances = self.fault(list(expected.labels), copy.deepcopy(expected.probabilities or []))  # type: ignore[arg-type]
        return json.dumps({"predictions": labels} | ({} if chances is None else {"probabilities": chances})).encode()


def starts(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "load", lambda *_: faulty)
    Service(Settings(), faulty.manifest).load()


def is_tried(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    service = trial.TrialService("127.0.0.1", 1)
    monkeypatch.setattr(service, "ask", lambda method, path, body: (200, faulty.body(body)))
    compared = trial.compare(service, faulty.probe)
    if not compared.holds:
        raise ServiceError(str(compared.problem))


def has_parity(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = faulty.signature.rows(
        dict(zip(faulty.probe.columns, zip(*faulty.probe.rows, strict=True), strict=True)), len(faulty.probe.rows)
    )
    reference = parity.Reference(
        rows=rows, answers=faulty.probe.expected, engine=faulty.good, columns=faulty.signature.columns,
        classes=faulty.probe.classes,
    )  # fmt: skip
    found = reference.compare(faulty, 1e-6)
    assert found.holds == (found.problem is None)
    if not found.holds:
        raise ServiceError(str(found.problem))


def is_deployed(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(path: str, body: bytes | None) -> Answer:
        return Answer(status=200, body=faulty.body(body or b""), seconds=0.01)

    smoke.trial({ONE.digest: faulty.probe}, SETTINGS)(ONE, ask)
    smoke.through(ask, ONE, faulty.probe, SETTINGS)


USERS = [starts, is_tried, has_parity, is_deployed]


@pytest.mark.parametrize("user", USERS)
def test_the_models_own_answers_pass(folder: Path, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    user(Faulty(folder, lambda labels, chances: (labels, chances)), monkeypatch)
    user(Faulty(folder, lambda labels, chances: (labels, [[p + 1e-10 for p in row] for row in chances])), monkeypatch)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_user_passes_a_fault(folder: Path, user: Any, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((StartError, ServiceError, RolloutError)) as refused:
        user(Faulty(folder, FAULTS[fault]), monkeypatch)
    assert str(refused.value)


@pytest.mark.parametrize("fault", NUMBERS)
def test_numbers_are_held_to_the_same(fault: str) -> None:
    expected = Answers(labels=[0.5, 2.25, -3.0], probabilities=None)
    labels, chances = NUMBERS[fault]([0.5, 2.25, -3.0], [])
    compared = compare(Answers(labels=labels, probabilities=chances), expected, 1e-6, classes=False)
    assert not compared.holds
    assert compared.problem


def test_numbers_count_as_a_share_of_large_ones_and_classes_that_are_numbers_do_not() -> None:
    expected, near = ([1e9, 0.5], [1e9 + 100, 0.5])

    def compared(labels: Any, *, classes: bool = False) -> Any:
        answers, known = (Answers(labels=values, probabilities=None) for values in (labels, expected))
        return compare(answers, known, 1e-6, classes=classes)

    assert compared(near).holds
    assert compared(near).max_abs_difference == pytest.approx(1e-7)
    assert not compared([1e9 + 10000, 0.5]).holds
    assert not compared([1e9, 0.50001]).holds
    assert not compared(near, classes=True).holds
    assert compared(expected, classes=True).max_abs_difference == 0


def test_nothing_is_equal_to_nothing() -> None:
    nothing = Answers(labels=[], probabilities=None)
    assert not compare(nothing, nothing, 1e-6, classes=False).holds


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"1", b"{}", b'{"predictions": 1}', b'{"predictions": null}', b'{"predictions": "ab"}',
     b'{"predictions": [1], "probabilities": 1}', b'{"predictions": [1], "probabilities": [1]}', b"\xff"],
)  # fmt: skip
def test_what_is_not_an_answer_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not"):
        Answers.read(body)


def test_the_class_of_a_model_without_probabilities_is_compared_exactly(tmp_path: Path) -> None:
    from sklearn.svm import LinearSVC

    rows = models.table().dropna()[["size", "count"]]
    estimator = LinearSVC().fit(rows, np.where(rows["size"] > 0, 1e9, 1e9 + 1))
    made = models.make(tmp_path, estimator, rows, engine="sklearn")
    probe = Probe.read(made.manifest)
    other = [1e9 + 1 if label == 1e9 else 1e9 for label in probe.expected.labels]  # type: ignore[comparison-overlap]
    assert probe.classes
    assert not probe.compare(Answers(labels=other, probabilities=None)).holds
    assert isinstance(engine.load(Manifest.read(made.folder / "manifest.json"), Signature([]), 1), SklearnEngine)
