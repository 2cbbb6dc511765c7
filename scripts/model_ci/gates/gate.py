"""The gates: all conditions together, so that several do not refuse by chance what one would not."""

from collections.abc import Collection, Mapping, Sequence

from model_ci.config import Gate
from model_ci.gates.comparison import holm
from model_ci.gates.condition import Absolute, Comparisons, Outcome, by_chance, judged, opened
from model_ci.gates.outputs import Scores
from model_ci.gates.sliced import fold
from model_ci.terms import State, Verdict

__all__ = ["Absolute", "Comparisons", "Outcome", "judge", "verdict"]


def judge(  # noqa: PLR0913 - the gates, and each thing they are judged on
    gates: Sequence[Gate],
    challenger: Scores,
    champion: Scores | None,
    compared: Comparisons | None = None,
    lower_is_better: Collection[str] = (),
    *,
    sliced: Mapping[Gate, Sequence[Outcome]] | None = None,
    confidence: float = 0.95,
    absolute: Absolute | None = None,
) -> list[Outcome]:
    """Judge every condition of every gate; `champion` is None on the first run.

    A condition against the champion is judged by the bound of the difference where the metric was resampled, by the
    difference itself where it was not (latency and size are no means over rows). `sliced` has what became of the gates
    that are judged slice by slice, `absolute` the estimates that `min` and `max` are held to.
    """
    outcomes: list[Outcome] = []
    for gate in gates:
        if gate.by:
            outcomes += (sliced or {})[gate]
            continue
        opens = [opened(gate, condition, lower_is_better) for condition in gate.conditions]
        outcomes += [judged(outcome, challenger, champion, compared, absolute) for outcome in opens]
    return _keep_level(outcomes, compared.confidence if compared else confidence)


def verdict(outcomes: Sequence[Outcome], *, inconclusive: str = "fail") -> tuple[Verdict, str]:
    """Return passed or failed, and why in a sentence.

    Fails closed: one failed condition fails, and so does the absence of any that passed. `inconclusive` says what
    follows from a comparison that the rows are too few for.
    """
    failed = [o for o in outcomes if o.state == State.FAILED]
    unsure = [o for o in outcomes if o.state == State.INCONCLUSIVE]
    passed = [o for o in outcomes if o.state == State.PASSED]
    total = len(failed) + len(unsure) + len(passed)
    if failed:
        return Verdict.FAILED, f"{len(failed)} of {total} conditions failed: {_names(failed)}"
    if unsure and inconclusive == "fail":
        return Verdict.FAILED, f"{len(unsure)} of {total} conditions are inconclusive: {_names(unsure)}"
    if not passed:
        return Verdict.FAILED, "no condition could be judged; add a min or max to a gate, so that a first model can be"
    but = f"; {_names(unsure)} inconclusive, which is allowed" if unsure else ""
    return Verdict.PASSED, f"{len(passed)} of {total} conditions passed{but}"


def _keep_level(outcomes: Sequence[Outcome], confidence: float) -> list[Outcome]:
    """Call a release worse only where Holm's procedure does: of several tests one would often be so by chance.

    Every slice of every gate is a test of its own. That every gate must be shown to hold needs no correction: each
    alone keeps the level (Berger 1982).
    """
    tests = [t for o in outcomes for t in (o, *o.slices) if t.chance is not None and not _folded(t)]
    rejected = holm([float(t.chance or 0) for t in tests], 1 - confidence)
    chance = {id(t) for t, sure in zip(tests, rejected, strict=True) if t.state == State.FAILED and not sure}

    def settled(outcome: Outcome) -> Outcome:
        if _folded(outcome):
            return fold(outcome, [settled(s) for s in outcome.slices])
        return by_chance(outcome, len(tests)) if id(outcome) in chance else outcome

    return [settled(outcome) for outcome in outcomes]


def _folded(outcome: Outcome) -> bool:
    """Tell whether the outcome is but that of its worst slice."""
    return bool(outcome.slices) and all(s.state != State.MEASURED for s in outcome.slices)


def _names(outcomes: Sequence[Outcome]) -> str:
    return ", ".join(dict.fromkeys(f"{o.metric} by {o.by}" if o.by else o.metric for o in outcomes))
