"""What is shown while stages run: a live line where a person looks, plain lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from model_ci.pipeline import Progress, Step
from model_ci.terms import Verdict


@contextmanager
def show_progress(*, looked_at: bool) -> Iterator[Progress]:
    """Give the Progress that shows itself on standard error."""
    if not looked_at:
        yield Progress(begins=_begins, ends=_ends, skips=_skips)
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    with console.status("") as status:

        def begins(step: Step) -> None:
            status.update(f"{step.stage} …")

        def ends(stage: str, verdict: str, seconds: float) -> None:
            status.update("")
            style = "red" if verdict == Verdict.FAILED else "green" if verdict == Verdict.PASSED else "default"
            console.print(f"{stage:<12} [{style}]{verdict}[/] {seconds:.1f} s", markup=True)

        def skips(step: Step) -> None:
            console.print(f"{step.stage:<12} {step.state}: {step.why}", style="dim", markup=False)

        yield Progress(begins=begins, ends=ends, skips=skips)


def _begins(step: Step) -> None:
    _line(f"{step.stage:<12} runs: {step.why}")


def _ends(stage: str, verdict: str, seconds: float) -> None:
    _line(f"{stage:<12} {verdict} after {seconds:.1f} s")


def _skips(step: Step) -> None:
    _line(f"{step.stage:<12} {step.state}: {step.why}")


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
