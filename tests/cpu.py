"""What each test costs in CPU seconds: its own process, and its children that ended. Containers are not counted."""

import resource
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

_SPENT: Final = pytest.StashKey[dict[str, float]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cpu", type=int, metavar="N", help="show the CPU seconds of the N costliest folders, files and tests"
    )


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
    shown = config.getoption("--cpu")
    if shown is None:
        return
    tests = Counter(config.stash[_SPENT])
    terminalreporter.section(f"CPU seconds: {tests.total():.0f} in {len(tests)} tests")
    for costs in (_by(tests, _folder), _by(tests, _file), tests):
        for name, cost in costs.most_common(shown):
            terminalreporter.line(f"{cost:8.2f}  {name}")
        terminalreporter.line("")


def _by(tests: Counter[str], part: Callable[[str], str]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for name, cost in tests.items():
        sums[part(name)] += cost  # type: ignore[assignment]  # Counter adds floats as well
    return sums


def _file(test: str) -> str:
    return test.partition("::")[0]


def _folder(test: str) -> str:
    return _file(test).rpartition("/")[0]


def _seconds() -> float:
    return sum(
        u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
