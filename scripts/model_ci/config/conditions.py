"""The conditions that a gate may have: one table. Schema, checks, judgement, monitor, selftest and reports derive from it."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from model_ci.frozen import dataclass


class Judged(Enum):
    """What a condition holds to its limit."""

    VALUE = auto()  # the model's own value
    DIFFERENCE = auto()  # the model's value less the champion's
    GAP = auto()  # the largest difference between two slices


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A condition of a gate.

    `sign` is 1 where lower is worse, -1 where higher is worse, and 0 where the metric itself decides. The limit is what a
    difference may lose, or with `gain` what it must win; with `share` it is a share of the champion's value.
    """

    name: str
    means: str
    judged: Judged
    sign: int
    gain: bool = False
    share: bool = False

    @property
    def compares(self) -> bool:
        """Whether it compares with the champion."""
        return self.judged is Judged.DIFFERENCE

    @property
    def tolerates(self) -> bool:
        """Whether it compares with the champion and allows a loss."""
        return self.compares and not self.gain

    def direction(self, *, lower_is_better: bool) -> int:
        """Return 1 where a higher value of the metric is a gain, -1 where a lower one is."""
        return self.sign or (-1 if lower_is_better else 1)

    def needed(self, limit: float, champion: float | None) -> float:
        """Return the least gain over the champion that keeps the limit."""
        amount = limit * (champion or 0.0) if self.share else limit
        return amount if self.gain else -amount

    def unfit(self, value: float, champion: float) -> str | None:
        """Return why the two values cannot be compared by this condition; None where they can."""
        if not self.share or (champion > 0 and value >= 0):
            return None
        plain = next(c.name for c in CONDITIONS.values() if c.sign == self.sign and c.compares and not c.share)
        if champion > 0:
            return f"the model's value is {value:.6g}, which is no share of the champion's {champion:.6g}; use {plain}"
        return f"the champion's value is {champion:.6g}, and a share needs one above 0; use {plain}"

    def schema(self) -> dict[str, object]:
        """Return what the configuration's schema has of it."""
        bounds = ({} if self.judged is Judged.VALUE else {"minimum": 0}) | ({"maximum": 1} if self.share else {})
        return {"description": self.means, "type": "number", **bounds}


_BOUND: Final = "The bound of the difference must keep the limit (non-inferiority)."

CONDITIONS: Final[Mapping[str, Condition]] = {
    condition.name: condition
    for condition in (
        Condition(name="min", means="Least value that passes.", judged=Judged.VALUE, sign=1),
        Condition(name="max", means="Greatest value that passes.", judged=Judged.VALUE, sign=-1),
        Condition(
            name="max_drop",
            means=f"How much lower than the champion's value the model's may be. {_BOUND}",
            judged=Judged.DIFFERENCE,
            sign=1,
        ),
        Condition(
            name="max_rise",
            means=f"How much higher than the champion's value the model's may be. {_BOUND}",
            judged=Judged.DIFFERENCE,
            sign=-1,
        ),
        Condition(
            name="max_relative_drop",
            means=f"As max_drop, as a share of the champion's value: 0.05 allows 5 % less. {_BOUND}",
            judged=Judged.DIFFERENCE,
            sign=1,
            share=True,
        ),
        Condition(
            name="max_relative_rise",
            means=f"As max_rise, as a share of the champion's value: 0.05 allows 5 % more. {_BOUND}",
            judged=Judged.DIFFERENCE,
            sign=-1,
            share=True,
        ),
        Condition(
            name="min_gain",
            means="How much better than the champion the model must be. The bound of the difference must keep it (superiority).",
            judged=Judged.DIFFERENCE,
            sign=0,
            gain=True,
        ),
        Condition(name="max_gap", means="Greatest difference between two slices.", judged=Judged.GAP, sign=-1),
    )
}


def compares(name: str) -> bool:
    """Tell whether the condition of this name compares with the champion; a gate of the user's own has another name."""
    return name in CONDITIONS and CONDITIONS[name].compares


def tolerates(name: str) -> bool:
    """Tell whether the condition of this name allows a loss against the champion."""
    return name in CONDITIONS and CONDITIONS[name].tolerates
