"""run, and each stage by itself: the stages executed, the report shown, the platform told."""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from model_ci import ci, pipeline, report
from model_ci.commands import check_config
from model_ci.commands.progress import show_progress
from model_ci.config import Config
from model_ci.errors import Exit, ModelCIError
from model_ci.files import write_atomically
from model_ci.run import Run, run_folders, sections
from model_ci.schema import Document
from model_ci.stages import STAGES, whole
from model_ci.stages.content import content
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.record_types import Section


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `run` takes."""
    _add_common(parser)
    parser.add_argument(
        "--stages",
        default="",
        metavar="A,B,C",
        help=f"only these of {', '.join(STAGES)}; if unset, those that train and ship a model, an optional one only "
        "when the configuration turns it on",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would run and why, and run nothing")
    parser.set_defaults(learn=False, row="", rows_file="")


def add_stage_arguments(parser: argparse.ArgumentParser, stage: str) -> None:
    """Declare what a single stage takes."""
    _add_common(parser)
    parser.set_defaults(stages=stage, dry_run=False, learn=False, row="", rows_file="")
    if stage == "check-data":
        parser.add_argument(
            "--learn", action="store_true", help="write the data contract from the data, and check nothing"
        )
    if stage == "explain":
        from model_ci.commands import decision

        decision.add_arguments(parser)
    if stage in ("deploy", "promote", "rollback"):
        from model_ci.commands import deployment

        deployment.add_arguments(parser, stage)


def _add_common(parser: argparse.ArgumentParser) -> None:
    check_config.add_arguments(parser)
    parser.add_argument("--run", default="", metavar="ID", help="the run to go on with (the newest)")
    parser.add_argument("--force", action="store_true", help="run what is unchanged too, in a new run")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why this runs, for the record")
    parser.add_argument(
        "--on-verdict",
        choices=["fail", "warn"],
        default="fail",
        help="whether a no ends with 3 or with a warning (fail)",
    )


def main(arguments: argparse.Namespace) -> int:
    """Execute, show the report, tell the platform, and return the exit code."""
    context = ci.context()
    try:
        return _main(arguments, context)
    except ModelCIError as error:
        for problem in error.problems:
            _annotate(context, "error", problem)
        root = Path(arguments.config).resolve().parent
        newest = [folder.name for folder in run_folders(root)[-1:]]
        ci.publish(context, root, {"verdict": "error", "run-id": "".join(newest)}, _failure(error), {})
        raise


def _main(arguments: argparse.Namespace, context: ci.Context) -> int:
    config = check_config.load(arguments)
    if arguments.learn:
        return _learn(config)
    if arguments.row or arguments.rows_file:
        from model_ci.commands import decision

        return decision.main(arguments)
    if getattr(arguments, "plan", False) or getattr(arguments, "render", ""):
        from model_ci.commands import deployment

        return deployment.main(arguments, config)
    names = [name.strip() for name in arguments.stages.split(",") if name.strip()] or whole(config)
    invocation = pipeline.Invocation(
        stages=names, run_id=arguments.run or None, force=arguments.force, reason=arguments.reason or None
    )
    if arguments.dry_run:
        for step in pipeline.plan(config, invocation, context):
            print(f"{step.stage:<12} {step.state}: {step.why}")
        return Exit.YES
    with show_progress(looked_at=sys.stderr.isatty() and not context.in_ci) as progress:
        outcome = pipeline.execute(config, invocation, context, progress)
    looked_at = sys.stdout.isatty() and not context.in_ci
    width = shutil.get_terminal_size((120, 24)).columns
    print(report.text(content(outcome.run.record), color=looked_at, width=width))
    _publish(outcome, context, config)
    return _exit_code(arguments, outcome, context, config)


def _learn(config: Config) -> int:
    from model_ci.stages.check_data import stage as check_data

    print(f"{check_data.learn(config)}: learnt from the data; read it, mend what it should not allow, and commit it")
    return Exit.YES


def _publish(outcome: pipeline.Outcome, context: ci.Context, config: Config) -> None:
    record, run = outcome.run.record, outcome.run
    blocks = content(record)
    outputs = {
        "verdict": outcome.verdict,
        "run-id": run.id if run.folder.is_dir() else "",  # nothing ran: there is no run to go on with
        "run-folder": run.folder.relative_to(config.root).as_posix() if run.folder.is_dir() else "",
        **_outputs(run),
    }
    files = {
        "junit.xml": report.junit(record),
        "metrics.txt": report.metrics(record),
        "quality.json": report.quality(record, context.in_checkout(config.root / config.file), _lines(config)),
    }
    if run.folder.is_dir():
        write_atomically(run.folder / "report.html", report.html(blocks).encode())
    ci.publish(context, config.root, outputs, report.markdown(blocks), files)


def _outputs(run: Run) -> dict[str, str]:
    """Return what the stages hand to the next job; a later stage's word counts, and what nobody outputs is empty."""
    outputs: dict[str, str] = {}
    for stage in STAGES.values():
        for name, path in stage.outputs.items():
            value: object = run.section(stage.name)
            for key in path.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            outputs[name] = json.dumps(value) if isinstance(value, bool) else str(value or outputs.get(name, ""))
    return outputs


def _exit_code(arguments: argparse.Namespace, outcome: pipeline.Outcome, context: ci.Context, config: Config) -> int:
    for overdue in _overdue(outcome.run):
        _annotate(context, "warning", overdue)
    if problem := _unpushed(outcome.run):
        _annotate(context, "warning", problem)
        print(problem, file=sys.stderr)
    if outcome.verdict == Verdict.FAILED:
        why = "; ".join(str(s.get("why") or f"{n} failed") for n, s in _failed(outcome.run))
        level = "error" if arguments.on_verdict == "fail" else "warning"
        _annotate(context, level, why)
        _annotate_refusals(outcome.run, context, config, level)
        return Exit.NO if arguments.on_verdict == "fail" else Exit.YES
    # a decision that is on no record is forgotten: the next one would know of no cooldown and no budget
    if problem and (config.record.required or arguments.stages == "record" or outcome.run.section("retrain")):
        return Exit.SERVICE
    return Exit.YES


def _failed(run: Run) -> "list[tuple[str, Section]]":
    return [(name, section) for name, section in sections(run.record).items() if section["verdict"] == Verdict.FAILED]


def _overdue(run: Run) -> list[str]:
    """Return what is said of the check that did not run; the report has it too."""
    judged = [section for section in (run.section("retrain"), run.section("record")) if section]
    return [f"{finding['where']}: {finding['what']}" for section in judged for finding in section["findings"]]


def _unpushed(run: Run) -> str | None:
    recorded = run.section("record")
    return recorded["problem"] if recorded and not recorded["pushed"] else None


def _annotate_refusals(run: Run, context: ci.Context, config: Config, level: str) -> None:
    """Show what said no beside the line that asked for it; GitHub shows ten of a step, and one is told already."""
    file, line = context.in_checkout(config.root / config.file), _lines(config)
    for refusal in islice(report.refusals(run.record), 9):
        place = (file, line(refusal.path))
        ci.annotate(context, level, f"model-ci {refusal.check}", refusal.message, place)


def _lines(config: Config) -> Callable[[tuple[str | int, ...]], int]:
    """Find lines in the configuration's file; the first one where it can no longer be read."""
    try:
        document = Document((config.root / config.file).read_text(encoding="utf-8"), config.file)
    except (OSError, UnicodeDecodeError):
        return lambda path: 1
    return lambda path: document.position(path)[0]


def _annotate(context: ci.Context, level: str, message: str) -> None:
    ci.annotate(context, level, "model-ci", message)


def _failure(error: ModelCIError) -> str:
    problems = "\n".join(f"    {line}" for problem in error.problems for line in problem.splitlines())
    return f"## ❌ model-ci could not finish (exit code {int(error.exit_code)})\n\n{problems}\n"
