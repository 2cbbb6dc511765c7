"""The page: verdict first, needs nothing else, and no value that becomes markup."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from tests.forge.records import gate, record

from model_ci import report
from model_ci.report.bars import draw
from model_ci.report.blocks import Bar
from model_ci.stages.content import content

HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>\" ' javascript:alert(1) \x00\u202e"


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_verdict_comes_first_and_the_gates_next() -> None:
    page = Page(report.html(content(record())))
    said = page.text.partition("}\n\n")[2]
    assert said.index("flight-delays: refused") < said.index("Gates") < said.index("Other metrics") < said.index("Run")
    assert "-0.0036 [-0.0081, +0.0012]" in said


def test_it_needs_nothing_else() -> None:
    page = Page(report.html(content(record())))
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert {name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style", "srcset")} == set()
    assert [value for name, value in page.attributes if name == "href"] == [
        "https://github.com/acme/shop/actions/runs/9"
    ]


def test_the_policy_allows_its_own_style_alone() -> None:
    text = report.html(content(record()))
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    own = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = dict(Page(text).attributes)["content"] or ""
    assert f"style-src 'sha256-{own}'" in text
    assert "default-src 'none'" in text
    assert "unsafe" not in policy
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_values_stay_text() -> None:
    made = record(gates=[gate(HOSTILE, "failed", reason=HOSTILE)])
    made["model"]["name"] = made["trigger"]["reason"] = made["ci"]["run_url"] = HOSTILE
    made["stages"]["train"]["parameters"] = {HOSTILE: HOSTILE}
    page = Page(report.html(content(made)))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not [value for name, value in page.attributes if name == "href"]
    assert page.tags.count("title") == 2  # the page's and its one drawing's
    assert "<script>alert(1)</script>" in page.text
    assert "\x00" not in page.text
    assert "\u202e" not in page.text


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", 'https://x/"onmouseover=1', "file:///etc"]
)
def test_only_addresses_of_the_web_are_links(address: str) -> None:
    made = record()
    made["ci"]["run_url"] = address
    assert "<a " not in report.html(content(made))


def test_a_bar_shows_which_side_is_allowed() -> None:
    bar = Bar(value=-0.0036, bounds=(-0.0081, 0.0012), limit=-0.01, above=True, difference=True)
    drawn = draw(bar, "yes")
    (start,) = re.findall(r'class="allowed" x="([\d.]+)"', drawn)
    (limit,) = re.findall(r'class="limit" d="M([\d.]+) ', drawn)
    (value,) = re.findall(r'cx="([\d.]+)"', drawn)
    low, high = re.findall(r'class="bounds" d="M([\d.]+) 12H([\d.]+)"', drawn)[0]
    assert start == limit
    assert 0 < float(limit) < float(low) < float(value) < float(high) < 160
    assert "bounds -0.0081 to 0.0012; the limit is -0.0100" in drawn


@pytest.mark.parametrize("value", [0.0, 1e308, -1e308, 1e-320, float("inf"), float("nan")])
def test_a_bar_of_any_number_is_drawn_or_left_out(value: float) -> None:
    drawn = draw(Bar(value=value, bounds=None, limit=0.0, above=False, difference=False), "no")
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_a_gate_that_gains_by_falling_has_its_limit_below() -> None:
    falls = gate("brier_score", condition="min_gain", limit=0.002, difference=-0.003, interval=[-0.005, -0.001])
    assert "the limit is -0.0020, below it is allowed" in report.html(content(record(gates=[falls])))
