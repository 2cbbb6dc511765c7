"""The aliases move forward and back, on every store, and an interrupted move is completed."""

from collections.abc import Callable

import pytest
from tests.registry.places import Place, a_model, a_new_database, a_place, a_server  # noqa: F401 - fixtures

from model_ci.errors import ConfigError


def aliases(place: Place) -> tuple[str | None, str | None]:
    with place.open() as store:
        holders = [store.champion(), store.previous()]
    return tuple(holder.number if holder else None for holder in holders)  # type: ignore[return-value]


def test_a_version_becomes_the_champion_and_steps_back_again(place: Place) -> None:
    no: Callable[[object], bool] = lambda champion: False  # noqa: E731
    for run in ("20260101T000000000Z-00000001", "20260101T000000000Z-00000002"):
        place.register(run, no)
    assert aliases(place) == (None, None)
    with place.open() as store:
        assert store.promote("1") == ("1", None)
        assert store.promote("2") == ("2", "1")
        assert store.promote("2") == ("2", "1")
        assert store.promote("1") == ("1", "2")
        assert store.version("2").number == "2"
        assert store.version("3") is None
        with pytest.raises(ConfigError, match=rf"{place.name} has no version 3; register it first"):
            store.promote("3")
    assert aliases(place) == ("1", "2")
