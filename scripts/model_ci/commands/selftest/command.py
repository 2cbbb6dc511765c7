"""selftest: bad models and bad data planted in the user's own pipeline, and whether the gates refuse them."""

import argparse
import sys
from typing import Final

from model_ci import ci
from model_ci.commands import check_config
from model_ci.commands.selftest import cases as selftest
from model_ci.commands.selftest.cases import Findings
from model_ci.errors import Exit
from model_ci.report.blocks import Block, Heading, Paragraph, Table, describe_gate
from model_ci.report.markdown import render as markdown
from model_ci.report.text import render as text
from model_ci.run import find
from model_ci.terms import Verdict

_WIDTH: Final = 120
_WORDS: Final = {True: "passed", False: "failed", None: "not tried"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `selftest` takes."""
    check_config.add_arguments(parser)
    parser.add_argument("--run", default="", metavar="ID", help="the run whose model is taken (the newest)")


def main(arguments: argparse.Namespace) -> int:
    """Plant, judge, show; the exit code is 3 when something bad was let through."""
    context = ci.context()
    config = check_config.load(arguments)
    run = find(config, arguments.run, stage="train", wanted_by="selftest")
    findings = selftest.run(config, run)
    blocks = _blocks(findings, config.model.name, run.id)
    print(text(blocks, color=sys.stdout.isatty() and not context.in_ci, width=_WIDTH))
    outputs = {"verdict": Verdict.PASSED if findings.passed else Verdict.FAILED, "run-id": run.id}
    ci.publish(context, config.root, outputs, markdown(blocks), {})
    for case in findings.cases:
        if case.holds is False:
            ci.annotate(context, "error", "model-ci selftest", _problem(case))
    return Exit.YES if findings.passed else Exit.NO


def _blocks(findings: Findings, model: str, run_id: str) -> list[Block]:
    wrong = [case for case in findings.cases if case.holds is False]
    verdict = "the gates refuse what is planted" if findings.passed else "the gates let something through"
    blocks: list[Block] = [
        Heading(state=Verdict.PASSED if findings.passed else Verdict.FAILED, text=f"{model}: {verdict}"),
        Paragraph(
            text=f"The model and the data of run {run_id}, your gates, and cases whose answer is known. "
            "Nothing was registered or recorded."
        ),
        *(Paragraph(text=f"{_problem(case)}.") for case in wrong),
        Table(
            title="Cases",
            columns=["planted", "must be", "was", "result"],
            rows=[[c.name, c.expected, c.outcome, _WORDS[c.holds]] for c in findings.cases],
        ),
    ]
    planted = list(findings.gates[0][1]) if findings.gates else []
    rows = [[describe_gate(gate), *answers.values()] for gate, answers in findings.gates]
    return [
        *blocks,
        Table(title="Each gate by itself, against your model as champion", columns=["gate", *planted], rows=rows),
    ]


def _problem(case: selftest.Case) -> str:
    return f"{case.name[:1].upper()}{case.name[1:]} must be {case.expected}, but: {case.outcome}"
