"""Answers that are wrong in a known way, made of the honest model's own."""

from dataclasses import replace
from typing import TYPE_CHECKING

from model_ci.gates.outputs import Outputs

if TYPE_CHECKING:
    from model_ci.types import Array


def shuffled(honest: Outputs) -> Outputs:
    """Return the same predictions, each for another row: as if the labels had been shuffled before training."""
    import numpy as np

    moved = honest.drawn(np.random.default_rng(0).permutation(len(honest.truth)))
    return replace(moved, truth=honest.truth)


def of_nan(honest: Outputs) -> Outputs:
    """Return answers that are no numbers."""
    import numpy as np

    nan = np.full(len(honest.truth), np.nan)
    probabilities = None if honest.probabilities is None else np.full(honest.probabilities.shape, np.nan)
    return replace(honest, labels=nan, probabilities=probabilities)


def swapped(honest: Outputs) -> Outputs:
    """Return the answers of a model whose positive class was taken for the negative one."""
    probabilities = None if honest.probabilities is None else honest.probabilities[:, ::-1]
    return replace(honest, labels=1 - honest.labels, probabilities=probabilities)


def without_threshold(honest: Outputs) -> Outputs:
    """Return the same probabilities with labels that no threshold was applied to: all positive."""
    import numpy as np

    return replace(honest, labels=np.ones_like(honest.labels))


def of_the_target(honest: Outputs) -> Outputs:
    """Return the answers of a model that was given the target among its columns."""
    import numpy as np

    if honest.probabilities is None:
        return replace(honest, labels=honest.truth)
    classes = honest.probabilities.shape[1]
    known = np.minimum(honest.truth, classes - 1)
    return replace(honest, labels=known, probabilities=np.eye(classes)[known])


def a_little_worse(honest: Outputs) -> Outputs:
    """Return the answers with those of a tenth of the rows exchanged."""
    import numpy as np

    generator = np.random.default_rng(0)
    places = np.arange(len(honest.truth))
    few = generator.permutation(places)[: max(2, len(places) // 10)]
    places[few] = np.roll(places[few], 1)
    return replace(honest.drawn(places), truth=honest.truth)


def of_one_class(honest: Outputs) -> "Array":
    """Return as many rows as there are, all of the most frequent class."""
    import numpy as np

    rows = np.flatnonzero(honest.truth == np.bincount(honest.truth).argmax())
    return np.resize(rows, len(honest.truth))
