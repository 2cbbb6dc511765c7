"""The image: whether it may be used, where it is, and what it is made of."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from model_ci.report.blocks import Block, Paragraph, Table, number, sentence
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.record_types import BuildImageSection


def blocks(section: "BuildImageSection") -> Iterator[Block]:
    """Say whether the image is good and where it is, then what was measured."""
    yield Paragraph(text=f"Image: {sentence(section['why'])}", essential=section["verdict"] != Verdict.PASSED)
    if section["pushed"]:
        yield Paragraph(text=f"Pushed as {section['reference']}, tags {', '.join(section['tags'])}.")
    else:
        refused = section["verdict"] == Verdict.FAILED
        yield Paragraph(
            text=f"Nothing was pushed{'' if refused else ', no repository is set'}: {section['reference']}."
        )
    if section["smoke"] and not section["smoke"]["read_only"]:
        yield Paragraph(text="It was tried without an engine: below a root of its own, but one that can be written.")
    if section["gates"]:
        rows = [[g["gate"], number(g["value"]), f"{g['limit']:g}", g["state"]] for g in section["gates"]]
        yield Table(title="Limits of the image", columns=["limit", "found", "allowed", "result"], rows=rows)
    yield Table(title="Image", columns=["", ""], rows=list(_facts(section)), folded=True)


def _facts(section: "BuildImageSection") -> Iterator[list[str]]:
    smoke, parity, base = section["smoke"], section["parity"], section["base"]
    yield ["size", f"{number(section['size_mb'])} MiB"]
    if smoke and "cold_start_s" in smoke:
        yield ["start to first prediction", f"{smoke['cold_start_s']:.2f} s"]
    if smoke and "latency_ms_p95" in smoke:
        yield ["one row", f"{smoke['latency_ms_p50']:.2f} ms, 95 of 100 within {smoke['latency_ms_p95']:.2f} ms"]
    if parity:
        miss = (
            "labels differ"
            if parity["max_abs_difference"] is None
            else f"off by at most {parity['max_abs_difference']:.3g}"
        )
        how = "to the bit" if parity["exact"] else miss
        yield ["answers as the model", f"{how}, {parity['rows']} rows, tolerance {parity['tolerance']:g}"]
    yield ["engine", f"{section['engine']['name']}: {section['engine']['why']}"]
    yield ["base", f"{base['reference']} ({base['digest']}), Python {base['python']}, {base['architecture']}"]
    yield ["built by", f"{section['builder']} {section['builder_version']}"]
    if section["sbom"]:
        components = ", ".join(f"{count} {kind}" for kind, count in section["sbom"]["components"].items())
        yield ["packages", f"{section['sbom']['format']}: {components}"]
    signed = section["signature"]
    yield ["signature", f"by {signed['by']}" if signed else "none"]
