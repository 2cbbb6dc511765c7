"""Challenger and champion on the same rows, judged by the gates."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from model_ci import model, registry
from model_ci.config import Config
from model_ci.data import identity
from model_ci.errors import ServiceError
from model_ci.judgement import reuse
from model_ci.judgement.comparable import comparable, restricted, uncompared, unread
from model_ci.judgement.monitored import monitored
from model_ci.judgement.named import metrics
from model_ci.judgement.sides import Side, ask, ask_champion, of_quality, side
from model_ci.judgement.weighing import quality, weigh
from model_ci.origin import difference
from model_ci.run import Run
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.data.table import Table
    from model_ci.registry import Registry, Version

__all__ = [
    "Side",
    "ask",
    "champion_state",
    "judge",
    "judge_unread",
    "metrics",
    "monitored",
    "of_quality",
    "quality",
    "side",
    "weigh",
]


def champion_state(config: Config, run: Run, stage: Literal["train", "evaluate", "explain"]) -> str | None:
    """Identify the champion, so that a new one makes what `stage` said stale, but not the one this run itself became."""
    try:
        state = registry.peek(config, config.root, in_ci=run.in_ci)
    except ServiceError:
        if stage != "evaluate" or not run.in_pull_request:
            raise
        return "unreadable"
    section, registered = run.section(stage), run.section("register")
    if section and registered and state == registered["store_state"]:
        return section["store_state"]
    return state


def judge_unread(  # noqa: PLR0913, PLR0917 - both models, and what they are judged by
    config: Config, run: Run, data: "Table", challenger: Side, store: "Registry", problem: str
) -> dict[str, Any]:
    """Judge a model whose champion cannot be read: its own figures are reported, and the verdict is failed.

    It fails even where `evaluate.uncertainty.inconclusive` is pass: that allows too little data, not a store that is away.
    """
    reason = f"the champion cannot be read: {problem}"
    section = judge(config, run, data, challenger, store, None, unread_champion=unread(reason))
    return section | {"verdict": Verdict.FAILED, "why": f"inconclusive: {reason}; {section['why']}"}


def judge(  # noqa: PLR0913, PLR0917 - both models, and what they are judged by
    config: Config, run: Run, data: "Table", challenger: Side, store: "Registry", champion: "Version | None",
    *, unread_champion: Side | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score both models on the rows that neither has learnt from, and judge the gates; return the section, verdict included."""
    named, chosen = metrics(config), comparable(config, run, data, store, champion)
    holdout = identity.digest(data.holdout, data.identity)
    reused = reuse.count(config, run, holdout)
    adjusted = reuse.adjusted(config, reused)
    mine = restricted(named, challenger, chosen.rows)
    rows = data.holdout.iloc[chosen.rows]
    against = unread_champion
    if champion and chosen.problem:
        against = uncompared(ask_champion(config, champion, store, data, {}), chosen.problem)
    elif champion:
        against = ask_champion(config, champion, store, replace(data, holdout=rows), named)
    section = weigh(adjusted, rows, named, mine, against)
    if challenger.dependence:
        why = f"the answers depend on which rows are asked together: {challenger.dependence}; {section['why']}"
        section |= {"verdict": Verdict.FAILED, "why": why}
    known = run.require("train", wanted_by="evaluate")["model"]["classes"]
    made = difference.compare(difference.of(run), champion) if champion else None
    return section | {
        "positive": model.positive(config, known),
        "dependence": challenger.dependence,
        "champion": {"version": champion.number, "run_id": champion.run_id} if champion else None,
        "changed": made.changed if made else None,
        "unchanged": {"same": made.same, "unknown": made.unknown} if made else None,
        "holdout": {
            "identity": holdout,
            "rows": len(data.holdout),
            **chosen.as_record(),
            "challengers": reused.challengers,
            "uncounted": reused.problem,
            "confidence": adjusted.evaluate.uncertainty.confidence,
        },
    }
