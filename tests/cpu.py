"""What each test costs in CPU seconds: its own process, and its children that ended. Containers are not counted."""

import resource
from collections.abc import Iterator
from typing import Any, Final

import pytest

_SHOWN: Final = 40
_SPENT: Final = pytest.StashKey[dict[str, float]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cpu", action="store_true", help="show which tests cost most CPU seconds")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SPENT] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    before = _seconds()
    result = yield
    item.config.stash[_SPENT][item.nodeid] = round(_seconds() - before, 3)
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["cpu"] = session.config.stash[_SPENT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_SPENT] |= getattr(node, "workeroutput", {}).get("cpu", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--cpu"):
        return
    tests = sorted(config.stash[_SPENT].items(), key=lambda pair: -pair[1])
    terminalreporter.section(f"CPU seconds: {sum(cost for _, cost in tests):.0f} in {len(tests)} tests")
    for name, cost in tests[:_SHOWN]:
        terminalreporter.line(f"{cost:8.2f}  {name}")


def _seconds() -> float:
    return sum(
        u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
