"""A saved model, opened only when it still answers as it did when it was trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_ci import entrypoint
from model_ci.errors import ConfigError, UserCodeError
from model_ci.model import own_code, probe, process, questions, saved
from model_ci.model.answers import Answers
from model_ci.model.predictor import Predictor, load
from model_ci.types import Label


@contextmanager
def opened(folder: Path, positive: Label | None, name: str) -> Iterator[Predictor]:
    """Load a saved model with its own code, whose files have been checked, for as long as the block lasts.

    Raises ConfigError or UserCodeError, which begin with its `name`, when it has no probe or answers it otherwise.
    """
    known = require_probe(folder, name)
    with own_code.space(saved.code_folder(folder)):
        with entrypoint.told_as_theirs(f"{name}: asking the model failed"):
            predictor = load(folder, positive)
            answers = questions.answers(predictor, known.rows)
        require_same(known, answers, name)
        yield predictor


@contextmanager
def asked(folder: Path, positive: Label | None, name: str) -> Iterator[process.ModelProcess]:
    """Load a saved model as `opened` does, in a process of its own, which answers the probe twice first."""
    known = require_probe(folder, name)
    with process.opened(folder, positive, name) as asking:
        require_same(known, asking.call("repeated", known.rows, name), name)
        yield asking


def reopened(folder: Path, positive: Label | None, name: str, root: Path) -> Predictor:
    """Load a saved model with the code of the working tree, to train it further.

    Raises ConfigError where that is not the code that it was saved with.
    """
    if changed := own_code.differences(saved.code_folder(folder), root):
        raise ConfigError(f"{name} was saved with other code than today's: {', '.join(changed)}")
    known = require_probe(folder, name)
    with entrypoint.told_as_theirs(f"{name}: asking the model failed"):
        predictor = load(folder, positive)
        answers = questions.answers(predictor, known.rows)
    require_same(known, answers, name)
    return predictor


def require_probe(folder: Path, name: str) -> probe.Probe:
    """Return the probe that was saved with a model; raise ConfigError when there is none."""
    known = probe.read(folder)
    if known is None:
        raise ConfigError(
            f"{name}: was saved without a probe, so that nothing shows whether it still answers as it did; "
            "train and register a model with this version of model-ci"
        )
    return known


def require_same(known: probe.Probe, answers: Answers, name: str) -> None:
    """Raise UserCodeError when a model answers its probe otherwise than it did, and name the libraries that changed."""
    changed = known.difference(answers)
    if changed is None:
        return
    upgrades = known.upgrades()
    raise UserCodeError(
        f"{name}: as saved, the model answers otherwise than it did when it was trained: {changed}; "
        + (
            f"since then {upgrades}: install these versions again, or train a new model"
            if upgrades
            else "make its predictions repeatable and its state part of what is saved"
        )
    )
