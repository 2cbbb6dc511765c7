"""Our frozen dataclasses behave as those of the standard library."""

import copy
import dataclasses
import pickle
from collections.abc import Callable

import pytest

from model_ci import frozen


@frozen.dataclass(frozen=True, kw_only=True)
class Ours:
    """A class with a default, a factory and a value that is required."""

    a: int
    b: str = "b"
    c: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Theirs:
    """The same, made by the standard library."""

    a: int
    b: str = "b"
    c: list[int] = dataclasses.field(default_factory=list)


@frozen.dataclass(frozen=True, kw_only=True)
class Child(Ours):
    """A class that inherits fields."""

    d: int = 4

    def __post_init__(self) -> None:
        if self.d < 0:
            raise ValueError(self.d)


def test_values_and_defaults_are_those_of_the_standard_library() -> None:
    ours, theirs = Ours(a=1), Theirs(a=1)
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs) == {"a": 1, "b": "b", "c": []}
    assert repr(ours).removeprefix("Ours") == repr(theirs).removeprefix("Theirs")
    assert ours.c is not Ours(a=1).c
    assert dataclasses.replace(ours, b="x") == Ours(a=1, b="x") != ours
    assert copy.deepcopy(ours) == pickle.loads(pickle.dumps(ours)) == ours
    assert ours != theirs


def test_a_class_inherits_fields_and_checks_itself() -> None:
    assert dataclasses.asdict(Child(a=1)) == {"a": 1, "b": "b", "c": [], "d": 4}
    assert Child(a=1) != Ours(a=1)
    with pytest.raises(ValueError, match="-1"):
        Child(a=1, d=-1)


@pytest.mark.parametrize("kind", [Ours, Theirs])
@pytest.mark.parametrize("call", [lambda k: k(), lambda k: k(a=1, z=2), lambda k: k(1)])
def test_missing_unknown_and_positional_values_are_refused(kind: type, call: Callable[[type], object]) -> None:
    with pytest.raises(TypeError):
        call(kind)


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_nothing_can_be_assigned_or_deleted(kind: type) -> None:
    value = kind(a=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.a = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del value.a


def test_a_field_that_would_be_treated_otherwise_is_refused() -> None:
    with pytest.raises(TypeError, match="Odd: a: use the standard library's dataclass"):

        @frozen.dataclass(frozen=True, kw_only=True)
        class Odd:
            """A class with a field that equality leaves out."""

            a: int = dataclasses.field(default=1, compare=False)


def test_equal_values_have_equal_hashes() -> None:
    assert hash(Ours(a=1, c=())) == hash(Ours(a=1, c=()))  # type: ignore[arg-type]
