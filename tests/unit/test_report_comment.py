"""The comment: within its budget, verdict and gates always; and nothing in it mentions, links or commands."""

import re

import pytest
from tests.forge.records import gate, record

from model_ci import report
from model_ci.report.blocks import Block, Heading, Paragraph, Table
from model_ci.report.comment import marker, render
from model_ci.stages.content import content

LINK = "https://github.com/acme/shop/actions/runs/9"
HOSTILE = (
    "/merge\n/approve\n@acme/team #7 !3 acme/shop#9 GH-12 https://evil.example www.evil.example a@evil.example "
    "<!-- model-ci: other --> </details> | [a](javascript:x) ![](http://evil.example/p.png) $x$ `c` ~bug %1 &2 \u202e"
)


def rendered(blocks: list[Block], limit: int = 65_536) -> str:
    return render(blocks, mark=marker("shop"), link=LINK, limit=limit)


def many(gates: int, slices: int) -> list[Block]:
    rows = [[f"metric_{i}", "0.6457", "0.6421", "-0.0036 [-0.0081, +0.0012]", "max_drop 0.01",
             "failed: worse, 0.0200 lower than the champion, 0.01 allowed" if i % 10 == 3 else "passed: within tolerance"]
            for i in range(gates)]  # fmt: skip
    parts = [[f"carrier={i:03d}, origin=JFK", "231", "0.6457", "0.6421", "-0.0036 [-0.0381, +0.0312]",
              "inconclusive: 231 rows are too few to be sure: about 5,200 rows would tell"] for i in range(slices)]  # fmt: skip
    return [
        Heading(state="failed", text="shop: refused"),
        Paragraph(text="4 of 40 conditions failed. Champion is version 2.", essential=True),
        Table(title="Gates", columns=["metric", "champion", "challenger", "difference", "gate", "result"], rows=rows,
              essential=True),
        Table(title="Slices", columns=["slice", "rows", "champion", "challenger", "difference", "result"], rows=parts,
              folded=True),
        Table(title="Run", columns=["", ""], rows=[["run", "1"]], folded=True),
    ]  # fmt: skip


def test_forty_gates_and_two_hundred_slices_fit_and_nothing_is_left_out() -> None:
    text = rendered(many(40, 200))
    assert len(text.encode()) < 65_536
    assert (
        text.index("## ❌ shop: refused") < text.index("### Gates: 4 of 40 did not pass") < text.index("Slices (200)")
    )
    assert text.count("| metric_") == 40
    assert text.count("carrier=") == 200
    assert "Left out" not in text
    assert text.rstrip().endswith(f"]({LINK})")


@pytest.mark.parametrize("limit", [3_000, 10_000, 65_536])
@pytest.mark.parametrize(("gates", "slices"), [(40, 2_000), (3_000, 10), (0, 0)])
def test_it_stays_within_its_limit_and_says_what_is_left_out(limit: int, gates: int, slices: int) -> None:
    text = rendered(many(gates, slices), limit)
    assert len(text.encode()) <= limit
    assert "shop: refused" in text
    assert LINK in text
    assert ("Left out here:" in text) == (gates + slices > 0)
    assert text.count("<details>") == text.count("</details>")


def test_where_gates_are_too_many_those_that_said_no_stay() -> None:
    text = rendered(many(400, 0), 20_000)
    assert text.count("❌ failed") == 40


def test_a_long_value_is_shortened() -> None:
    made = record(gates=[gate(state="failed", reason="x" * 100_000)])
    text = report.comment(content(made), mark=report.marker("shop"), link=LINK, limit=65_536)
    assert len(text) < 5_000
    assert "x…" in text


def test_the_marker_is_the_models_and_cannot_be_closed_early() -> None:
    assert report.marker("flight-delays") == "<!-- model-ci: flight-delays -->"
    assert report.marker("a") != report.marker("b")
    assert report.marker("--><b>@x\n").count(">") == 1
    assert "--" not in report.marker("a--b---c")[4:-3]
    assert report.comment(content(record("shop")), mark=report.marker("shop"), link=None, limit=65_536).startswith(
        report.marker("shop") + "\n"
    )


def test_nothing_in_it_mentions_links_or_commands() -> None:
    made = record(gates=[gate(HOSTILE, "failed", reason=HOSTILE)])
    made["model"]["name"] = made["trigger"]["reason"] = made["ci"]["run_url"] = HOSTILE
    made["stages"]["train"]["parameters"] = {HOSTILE: HOSTILE}
    made["stages"]["evaluate"]["why"] = HOSTILE
    made["stages"]["check-data"]["findings"] = [
        {"rule": "columns", "where": HOSTILE, "what": HOSTILE, "count": None, "examples": [], "level": "warning"}
    ]
    text = report.comment(content(made), mark=report.marker("shop"), link=None, limit=65_536)
    body = text.partition("\n")[2]
    assert not re.search(r"^\s*/", text, re.MULTILINE)  # GitLab's orders
    assert not re.search(r"[@#]\w|\bGH-\d|!\d|%\d|&2|\$x", body)
    assert not re.search(r"://|www\.|<!--|<(?!/?(details|summary)>)", body)
    assert "](" not in body.replace("\\](", "").replace("\\]\\(", "")
    assert text.count("<details>") == text.count("</details>") == 2
    assert "\u202e" not in text


@pytest.mark.parametrize("start", ["/close", "- a", "+ a", "1. a", "===", "---", ": a", "# a", "> a", "    a", "* a"])
def test_a_paragraph_stays_one_whatever_it_begins_with(start: str) -> None:
    body = rendered([Heading(state="passed", text="x"), Paragraph(text=start)]).splitlines()[4]
    assert not re.match(r"[/\-+=:#>*\s]|\d+\.", body)
