"""What serves since a deployment, a promotion or a rollback."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from model_ci.report.blocks import Block, Paragraph, Table, number
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.record_types import Change, ChangeSmoke


def blocks(section: "Change") -> Iterator[Block]:
    """Say what serves, what was asked of it, and why not where it was not to be."""
    yield Paragraph(text=_summary(section), essential=True)
    if moved := section["aliases"]:
        before = f"; before it was version {moved['previous']}" if moved["previous"] else ""
        yield Paragraph(text=f"The registry's champion is version {moved['champion']}{before}.")
    if section["smoke"]:
        yield Paragraph(text=_asked(section["smoke"]))
    kept = section["verdict"] == Verdict.FAILED
    serving = section["previous"] if kept else section["deployment"]
    yield Table(
        title=f"Serving in {section['environment']}",
        columns=["variant", "version", "image", "requests", "replicas"],
        rows=[
            [v["name"], v["version"] or "-", v["digest"][:19], f"{v['weight']} %", number(v["replicas"])]
            for v in (serving["variants"] if serving else ())
        ],
    )
    if refused := [rule for rule in section["policy"] if not rule["holds"]]:
        rows = [[rule["rule"], rule["why"]] for rule in refused]
        yield Table(title=f"Policy of {section['environment']}", columns=["rule", "refused"], rows=rows)


def _summary(section: "Change") -> str:
    if section["verdict"] != Verdict.FAILED:
        address = f", at {section['address']}" if section["address"] else ""
        return f"{_capital(section['action'])}: {section['why']}{address}."
    restored = "; what served before serves again" if section["rolled_back"] and section["previous"] else ""
    return f"{_capital(section['action'])} in {section['environment']} failed: {section['why']}{restored}."


def _asked(smoke: "ChangeSmoke") -> str:
    if not smoke["compared"]:
        return "Smoke test: the service is ready; its predictions were not compared, for no rows are known."
    return (
        f"Smoke test: {number(smoke['requests'])} requests, {number(smoke['compared'])} answers compared with what is "
        f"known, off by at most {smoke['max_difference']:.2g}; median {number(smoke['latency_ms_p50'])} ms, "
        f"95 % within {number(smoke['latency_ms_p95'])} ms."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
