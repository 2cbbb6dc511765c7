"""The texts of a project's first files."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from model_ci.commands.init.columns import Choice, Roles

SCHEMA: Final = "https://raw.githubusercontent.com/acme/model-ci/v0.1.0/schemas/config.schema.json"
_TEMPLATES: Final = Path(__file__).parent / "templates"
_WORKFLOWS: Final[Mapping[str, Mapping[str, str]]] = {
    "github": {
        ".github/workflows/model-ci.yml": "github.yml",
        ".github/workflows/model-ci-comment.yml": "github-comment.yml",
    },
    "gitlab": {".gitlab-ci.yml": "gitlab.yml"},
    "none": {},
}
_STARTER: Final = "train_model"
_ENTRYPOINTS: Final = ("build", "build_model", "make_model", "create_model")
# What a first champion must reach: a little more than guessing; and what a later one may lose against it.
_GATES: Final[Mapping[str, tuple[str, float]]] = {
    "binary": ("roc_auc", 0.01),
    "multiclass": ("balanced_accuracy", 0.02),
    "regression": ("r2", 0.02),
}
_METRICS: Final[Mapping[str, tuple[str, ...]]] = {
    "binary": ("average_precision", "brier_score"),
    "multiclass": ("accuracy", "log_loss"),
    "regression": ("mean_absolute_error", "root_mean_squared_error"),
}
_MIN_ROWS: Final = {"check-data": 100, "evaluate": 50}  # the defaults; smaller data needs smaller ones
_HOLDOUT: Final = 0.2
_OVERLAP: Final = 0.01


def configuration(  # noqa: PLR0913 - all that the file holds
    *, name: str, data: str, rows: int, roles: Roles, entrypoint: str, store: Choice
) -> str:
    """Return a model-ci.yaml that passes the check, with the reasons as comments."""
    lines = [
        f"# yaml-language-server: $schema={SCHEMA}",
        "model:",
        f"  name: {_scalar(name)}",
        f"  task: {roles.task.value}{_comment(roles.task.why)}",
        *([f"  positive: {_scalar(roles.positive.value)}{_comment(roles.positive.why)}"] if roles.positive else []),
        "data:",
        f"  path: {_scalar(data)}{_comment(f'{rows:,} rows')}",
        f"  target: {_scalar(roles.target.value)}{_comment(roles.target.why)}",
    ]
    if roles.time_column:
        why = f"{roles.time_column.why}; the newest rows are held out"
        lines.append(f"  time_column: {_scalar(roles.time_column.value)}{_comment(why)}")
    if roles.excluded:
        lines += ["  exclude:", *(f"    - {_scalar(column)}{_comment(why)}" for column, why in roles.excluded.items())]
    checks = _checks(rows, roles)
    lines += ["check-data:", *checks] if checks else []
    lines += ["train:", f"  entrypoint: {_scalar(entrypoint)}"]
    if entrypoint.startswith(_STARTER):
        lines += ["  parameters:", "    max_iter: 100", "    learning_rate: 0.1"]
    lines += _evaluation(rows, roles)
    lines += ["register:", f"  store: {store.value}{_comment(store.why)}"]
    return "\n".join(lines) + "\n"


def training_module(task: str) -> str:
    """Return a training module that learns from numbers and text."""
    text = (_TEMPLATES / "train_model.py").read_text(encoding="utf-8")
    return text.replace("GradientBoostingClassifier", "GradientBoostingRegressor") if task == "regression" else text


def workflows(platform: str, folder: str) -> dict[str, str]:
    """Return the files, by their place in the repository, that run the pipeline on `platform` and comment its report.

    `folder` is where model-ci.yaml lies in the repository.
    """
    texts = {place: (_TEMPLATES / name).read_text(encoding="utf-8") for place, name in _WORKFLOWS[platform].items()}
    if folder == ".":
        return texts
    marker = "    with:\n" if platform == "github" else "    inputs:\n"
    put = f"{marker}      working-directory: {_scalar(folder)}\n"
    return {place: text.replace(marker, put) for place, text in texts.items()}


def existing_entrypoint(root: Path) -> Choice | None:
    """Find a function at the top of a module that returns a model and needs no arguments."""
    for file in (*sorted(root.glob("*.py")), *sorted(root.glob("[!.]*/*.py"))):
        module = ".".join(file.relative_to(root).with_suffix("").parts)
        if all(part.isidentifier() for part in module.split(".")) and (name := _builder(file)):
            return Choice(value=f"{module}:{name}", why=f"found in {file.relative_to(root).as_posix()}")
    return None


def free_module(root: Path) -> str:
    """Return a name for the starter module that no file has."""
    number = 1
    while (root / f"{_STARTER}{_suffix(number)}.py").exists():
        number += 1
    return f"{_STARTER}{_suffix(number)}"


def _suffix(number: int) -> str:
    return "" if number == 1 else f"_{number}"


def _builder(file: Path) -> str | None:
    try:
        text = file.read_text(encoding="utf-8")
        body = ast.parse(text).body if "sklearn" in text else []
    except (SyntaxError, UnicodeDecodeError, ValueError, OSError):
        return None
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    return next((name for name in _ENTRYPOINTS if name in functions and _needs_nothing(functions[name].args)), None)


def _needs_nothing(arguments: ast.arguments) -> bool:
    positional = [*arguments.posonlyargs, *arguments.args]
    keywords = [a for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None]
    needed = [*positional[: len(positional) - len(arguments.defaults)], *keywords]
    return {argument.arg for argument in needed} <= {"features", "target"}


def _checks(rows: int, roles: Roles) -> list[str]:
    lines = []
    if rows < _MIN_ROWS["check-data"]:
        lines.append(f"  min_rows: {rows // 2}{_comment('little data')}")
    if roles.repeated > _OVERLAP / 2:
        why = f"{roles.repeated:.0%} of the newest rows look like older ones"
        lines.append(f"  overlap: {min(1.0, round(roles.repeated * 1.5 + _OVERLAP, 2))}{_comment(why)}")
    return lines


def _evaluation(rows: int, roles: Roles) -> list[str]:
    task = roles.task.value
    metric, drop = _GATES[task]
    least = {"binary": 0.52, "regression": 0}.get(task, round(1.05 / max(roles.classes, 1), 3))
    lines = ["evaluate:", f"  metrics: [{', '.join(_METRICS[task])}]"]
    if rows * _HOLDOUT * 0.9 < _MIN_ROWS["evaluate"]:
        lines.append(f"  min_rows: {max(2, int(rows * _HOLDOUT / 2))}{_comment('little data: verdicts are shaky')}")
    why = "better than guessing, for a start: raise min to what you need"
    return [*lines, f"  gates:{_comment(why)}", f"    - {{metric: {metric}, min: {least}, max_drop: {drop}}}"]


def _scalar(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").strip()


def _comment(why: str) -> str:
    return "  # " + re.sub(r"\s+", " ", why if len(why) <= 100 else f"{why[:97]}...")
