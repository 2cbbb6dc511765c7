"""The page in a real browser: on a phone nothing sticks out, nothing is fetched, and no value becomes markup."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.forge.records import gate, record

from model_ci import report
from model_ci.stages.content import content

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--disable-dev-shm-usage",
]  # fmt: skip
# The page stands in a frame, since a window is never as narrow as a phone; what is outside of it may measure.
FRAME = """<!doctype html><body style="margin:0"><iframe src="/report.html" style="border:0;width:{width}px;height:3000px"></iframe>
<script>
document.querySelector("iframe").onload = event => {{
  const inside = event.target.contentDocument;
  inside.querySelectorAll("details").forEach(one => one.open = true);
  const root = inside.documentElement;
  document.body.dataset.measured = [
    root.scrollWidth, root.clientWidth, inside.scripts.length, inside.images.length,
    inside.defaultView.getComputedStyle(inside.body).backgroundColor.replaceAll(" ", ""),
  ].join(" ");
}};
</script>"""
Measure = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture
def browser() -> str:
    found = shutil.which("chromium")
    if found is None and os.environ.get("MODEL_CI_REQUIRE_ALL") == "1":
        pytest.fail("chromium: not installed; `make setup` installs everything")
    if found is None:
        pytest.skip("chromium: not installed; `make setup` installs everything")
    return found


@pytest.fixture
def measure(browser: str, tmp_path: Path) -> Iterator[Measure]:
    """Show a page in a frame; return what was measured of it, and the addresses that were asked for."""
    pages: dict[str, bytes] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path in pages else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(pages.get(self.path, b""))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"

    def call(make: Callable[[str], str], width: int = 390, *, dark: bool = False) -> tuple[list[str], list[str]]:
        pages.update({"/frame.html": FRAME.format(width=width).encode(), "/report.html": make(address).encode()})
        profile = tmp_path / f"profile-{len(list(tmp_path.iterdir()))}"
        scheme = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
        command = [browser, *FLAGS, *scheme, f"--user-data-dir={profile}", "--virtual-time-budget=5000", "--dump-dom"]
        done = subprocess.run(
            [*command, f"{address}/frame.html"], capture_output=True, text=True, timeout=120, check=True,
            env={**os.environ, "HOME": str(tmp_path)},
        )  # fmt: skip
        found = re.search(r'data-measured="([^"]+)"', done.stdout)
        assert found, done.stdout[-2000:] + done.stderr[-2000:]
        return found[1].split(), sorted(asked)

    yield call
    server.shutdown()
    thread.join()
    server.server_close()


def page(address: str) -> str:
    return report.html(content(record()))


def hostile(address: str) -> str:
    """A page of values that would fetch, run, or stick out, if they were more than text."""
    fetch = f"<img src={address}/stolen.png><script src={address}/stolen.js></script><link rel=stylesheet href={address}/s.css>"
    long = "w" * 300
    made = record(long, gates=[gate(long, "failed", reason=fetch + long), gate(fetch)])
    made["trigger"]["reason"] = f"</style><style>@import url({address}/stolen.css)</style>{fetch}"
    made["stages"]["train"]["parameters"] = {long: fetch}
    return report.html(content(made))


@pytest.mark.parametrize("make", [page, hostile])
@pytest.mark.parametrize("width", [390, 900])
def test_nothing_sticks_out_and_nothing_is_fetched(measure: Measure, make: Callable[[str], str], width: int) -> None:
    (inner, outer, scripts, images, _), asked = measure(make, width)
    assert int(inner) <= int(outer) == width
    assert (scripts, images) == ("0", "0")
    assert [path for path in asked if path != "/favicon.ico"] == ["/frame.html", "/report.html"]


def test_the_policy_stops_what_would_get_through(measure: Measure) -> None:
    def broken(address: str) -> str:
        return report.html(content(record())).replace(
            "<main>", f'<main><img src="{address}/a.png"><script>document.body.remove()</script>'
        )

    (_, _, scripts, images, _), asked = measure(broken)
    assert (scripts, images) == ("1", "1")  # they stand there, and do nothing
    assert "/a.png" not in asked


def test_it_is_light_or_dark_as_the_reader_wants(measure: Measure) -> None:
    assert measure(page)[0][4] == "rgb(255,255,255)"
    assert measure(page, dark=True)[0][4] == "rgb(13,17,23)"
