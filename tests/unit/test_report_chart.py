"""Charts: Mermaid for the platforms, SVG for the page, nothing that a name could break out of."""

import xml.etree.ElementTree as ET

import pytest

from model_ci.report.blocks import Chart
from model_ci.report.chart import mermaid, svg
from model_ci.report.comment import marker, render

CHART = Chart(title="Share", labels=["age", "size"], values=[0.75, 0.25], before=[0.5, 0.5])


def test_mermaid_has_every_value_and_the_champions() -> None:
    assert mermaid(CHART).splitlines()[1:-1] == [
        "xychart-beta horizontal", '  title "Share"', '  x-axis ["age", "size"]', "  y-axis 0 --> 0.75", "  bar [0.75, 0.25]", "  line [0.5, 0.5]",
    ]  # fmt: skip


def test_a_champion_that_knows_not_every_column_is_left_out_of_mermaid_alone() -> None:
    partly = Chart(title="Share", labels=["age", "size"], values=[0.75, 0.25], before=[0.5, None])
    assert "line" not in mermaid(partly)
    assert svg(partly).count("before") == 1


@pytest.mark.parametrize("label", ['"]\n```\n# x', "</svg><script>x</script>", "%%{init: {}}%%", "a\u202eb", "x" * 900])
def test_a_name_cannot_break_out(label: str) -> None:
    chart = Chart(title=label, labels=[label], values=[1.0])
    lines = mermaid(chart).splitlines()
    assert (len(lines), lines[0], lines[-1]) == (7, "```mermaid", "```")
    assert not set('"`[]{}<>#') & set(lines[3].removeprefix('  x-axis ["').removesuffix('"]'))
    drawn = ET.fromstring(svg(chart))
    assert {element.tag for element in drawn.iter()} == {"svg", "title", "text", "rect"}


@pytest.mark.parametrize(
    "values", [[], [float("nan")], [-1.0], [float("inf")], [1.0, 2.0]], ids=["none", "nan", "negative", "inf", "many"]
)
def test_what_cannot_be_drawn_is_not(values: list[float]) -> None:
    chart = Chart(title="Share", labels=["age"], values=values)
    assert (mermaid(chart), svg(chart)) == ("", "")


def test_a_comment_without_room_says_that_the_chart_is_left_out() -> None:
    many = Chart(title="Share", labels=[f"column {i}" for i in range(100)], values=[1.0] * 100)
    assert "```mermaid" in render([many], mark=marker("shop"), link=None, limit=65_536)
    small = render([many], mark=marker("shop"), link=None, limit=900)
    assert "Left out here: Share." in small
    assert len(small.encode()) <= 900
