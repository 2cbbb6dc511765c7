"""What a report says, whatever it is rendered as: verdict first, then what each stage has to say, then the facts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from model_ci.report.blocks import Block, Heading, Table, number
from model_ci.run import sections
from model_ci.stages import STAGES
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.record_types import Record, Section


_WORDS: Final = {Verdict.PASSED: "passed", Verdict.FAILED: "refused", Verdict.NOT_JUDGED: "not judged yet"}
SILENT: Final = ("train",)  # what it did stands among the facts


def content(record: "Record") -> list[Block]:
    """Return the report's blocks in their order."""
    stages = sections(record)
    blocks: list[Block] = [
        Heading(state=record["verdict"], text=f"{_name(record)}: {_in_a_word(record)}"),
    ]
    for name, section in stages.items():
        if name not in SILENT:
            blocks += STAGES[name].blocks(section)
    return [*blocks, _stages(stages), _facts(record)]


def _name(record: "Record") -> str:
    folder = record["config"]["folder"]
    return f"{record['model']['name']} ({folder})" if folder else record["model"]["name"]


def _in_a_word(record: "Record") -> str:
    """Say what became of the model, or which checks of its service said no."""
    if record["line"] == "model":
        return _WORDS[Verdict(record["verdict"])]
    names = [name for name, section in sections(record).items() if section["verdict"] == record["verdict"]]
    match record["verdict"]:
        case Verdict.FAILED:
            return f"{', '.join(names)} failed"
        case Verdict.PASSED:
            return f"{', '.join(names)} passed"
    return "nothing was judged"


def _stages(stages: "Mapping[str, Section]") -> Table:
    rows = [
        [
            name,
            s["verdict"],
            f"{s['duration_s']:.1f} s",
            f"from run {s.get('reused_from')}" if "reused_from" in s else "",
        ]
        for name, s in stages.items()
    ]
    return Table(title="Stages", columns=["stage", "verdict", "time", ""], rows=rows, folded=True)


def _facts(record: "Record") -> Table:
    code, train, ci = record["code"], record["stages"].get("train"), record["ci"]
    known = code["commit"] or (f"no commit: {code['problem']}" if code.get("problem") else "no commit")
    commit = f"{known}{' with uncommitted changes' if code['dirty'] else ''}"
    rows = [["run", record["run_id"]], ["started", record["start"]], ["code", commit]]
    if section := train or record["stages"].get("check-data"):
        data = section["data"]
        rows += [
            ["data", data["location"]],
            ["data version", f"sha256 {data['sha256'][:16]}, {number(data['rows'])} rows"],
        ]
    if train:
        rows += [["parameters", ", ".join(f"{k}={v}" for k, v in train["parameters"].items()) or "defaults"]]
        rows += [
            ["seed", str(train["seed"])],
            *([["training", f"{train['method']['used']}: {train['method']['why']}"]] if train["method"]["why"] else []),
            ["model", f"{train['model']['flavor']}, {train['model']['size_mb']:.2f} MiB"],
        ]
    rows += [["trigger", record["trigger"]["reason"] or record["trigger"]["event"]]]
    if ci["run_url"]:
        rows += [["job", ci["run_url"]]]
    return Table(title="Run", columns=["", ""], rows=rows, folded=True)
