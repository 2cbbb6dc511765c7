"""Explain: what the model looks at, by input column, whether it may, and what changed against the champion."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci import entrypoint, judgement, model, registry
from model_ci.config import Config
from model_ci.errors import ConfigError, first_line
from model_ci.frozen import dataclass
from model_ci.run import Result, Run
from model_ci.stages.explain import gate
from model_ci.stages.explain.importance import ColumnImportance, changes, changes_record, columns_record, importance

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.data.table import Table
    from model_ci.explanation.attributions import Attributions
    from model_ci.record_types import ExplainChampion
    from model_ci.registry import Registry, Version
    from model_ci.types import JSON, JSONObject

FOLDER: Final = "explain"  # of the run


@dataclass(frozen=True, kw_only=True)
class _Explained:
    """What came of explaining the champion; `columns` is None where it cannot be compared with."""

    problem: str | None
    columns: list[ColumnImportance] | None = None
    attributions: "Attributions | None" = None


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The model's files, the rows, the limits, and who is champion."""
    train = run.section("train")
    return {
        "model": train["model"]["files"] if train else None,
        "data": train["data"] if train else None,
        "explain section": config.values["explain"],
        "positive": config.model.positive,
        "champion": judgement.champion_state(config, run, "explain"),
    }


def check(config: Config) -> None:
    """Find columns that are limited but do not exist."""
    if config.explain.max_share:
        from model_ci.data import source
        from model_ci.data.scan import Scan

        _known(config, list(Scan(source.resolve(config.data, config.root)).schema))


def run(config: Config, run: Run) -> Result:
    """Attribute the model's output to its input columns; the verdict is failed when a column counts more than it may."""
    from model_ci.data import table

    state = judgement.champion_state(config, run, "explain")
    run.require("train", wanted_by="explain")
    data = table.load(config.data, root=config.root)
    run.require_data("train", data.version.sha256, "explain")
    _known(config, list(data.holdout.columns))
    rows, background = _rows(config, data)
    with opened(config, run) as predictor:
        attributions = attribute(config, predictor, rows, background)
    explained = rows.iloc[: attributions.rows]
    columns = importance(attributions)
    with registry.open_registry(config, config.root, in_ci=run.in_ci) as store:
        before = _before(store, run)
        theirs = _explain_champion(config, before, store, explained, background) if before else None
    champion = theirs.columns if theirs else None
    shifts = changes(columns, champion) if champion else None
    broken, problem = _problem(attributions, columns, config.explain.tolerance)
    outcomes = [
        *gate.judge_shares(config.explain.max_share, columns, problem),
        *gate.judge_shift(config.explain.max_shift, shifts, problem, theirs.problem if theirs else None),
    ]
    verdict, why = gate.verdict(outcomes, problem, broken=broken)
    section = {
        "why": why,
        **_described(attributions, config, predictor),
        "columns": columns_record(columns),
        "champion": _champion(before, theirs),
        "changes": changes_record(shifts) if shifts is not None else None,
        "new_top": columns[0].name if champion and champion[0].name != columns[0].name and not broken else None,
        "gates": [outcome.as_record() for outcome in outcomes],
        "store_state": state,
    }
    with run.new_folder(FOLDER) as folder:
        _write(folder, section, attributions, explained, None if broken else (columns, champion))
        files = model.hash_files(folder)
    return Result(section={**section, "folder": FOLDER, "files": files}, verdict=verdict)


@contextmanager
def opened(config: Config, run: Run) -> Iterator[model.Predictor]:
    """Load the run's model after checking its files, for as long as the block lasts."""
    trained = run.require("train", wanted_by="explain")["model"]
    folder = run.folder / trained["folder"]
    model.check(folder, trained["files"])
    with model.opened(folder, config.model.positive, "explain") as predictor:
        yield predictor


def attribute(
    config: Config, predictor: model.Predictor, rows: "pd.DataFrame", background: "pd.DataFrame"
) -> "Attributions":
    """Attribute a model's output on `rows`; raises UserCodeError when the model cannot be asked."""
    import warnings

    from model_ci.explanation import explainer

    if missing := [c for c in predictor.columns if c not in rows.columns]:
        raise ConfigError(f"explain: the model needs the columns {', '.join(missing)}, which the data no longer has")
    seen = list(predictor.columns)
    terms = explainer.Terms(
        task=config.model.task,
        classes=predictor.classes,
        positive=explained_class(config, predictor),
        seed=config.explain.seed,
        tolerance=config.explain.tolerance,
    )
    with entrypoint.told_as_theirs("explain: asking the model failed"), warnings.catch_warnings(action="ignore"):
        return explainer.explain(predictor.model, rows[seen], background[seen], terms)


def explained_class(config: Config, predictor: model.Predictor) -> int | None:
    """Return the position of the class that is explained: the positive one of a binary task."""
    if config.model.task != "binary" or len(predictor.classes) != 2:
        return None
    return model.class_order(predictor.classes, config.model.task, config.model.positive)[-1]


def _rows(config: Config, data: "Table") -> "tuple[pd.DataFrame, pd.DataFrame]":
    from model_ci.explanation import explainer

    return explainer.draw(data.holdout, config.explain.rows, config.explain.seed), explainer.background(
        data.train, config.explain.seed
    )


def _known(config: Config, columns: list[str]) -> None:
    wrong = [name for name in config.explain.max_share if name not in columns]
    if wrong:
        there = f"there are {', '.join(columns)}"
        raise ConfigError(*(f"{config.file}: explain.max_share.{name}: no such column; {there}" for name in wrong))


def _problem(
    attributions: "Attributions", columns: list[ColumnImportance], tolerance: float
) -> tuple[bool, str | None]:
    """Tell whether the attributions are no numbers, and why they cannot be relied on."""
    if any(column.share is None for column in columns) or attributions.error != attributions.error:
        return True, "the attributions are not all numbers; what is not there does not pass"
    if not attributions.holds(tolerance):
        missed = f"the attributions miss the model's output by up to {attributions.error:.3g}"
        return False, f"{missed}, more than {tolerance:g} of its largest value {attributions.largest:.3g}"
    return False, None


def _before(store: "Registry", run: Run) -> "Version | None":
    """Return the champion to compare with; where it is this very run's model, the one before it."""
    champion = store.champion()
    return store.previous() if champion and champion.run_id == run.id else champion


def _explain_champion(
    config: Config, champion: "Version", store: "Registry", rows: "pd.DataFrame", background: "pd.DataFrame",
) -> "_Explained":  # fmt: skip
    """Explain the champion in the same way, on the same rows; one that cannot be explained is told as a problem."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = store.download(champion, Path(scratch) / "model")
        try:
            with model.opened(folder, config.model.positive, f"version {champion.number}") as predictor:
                attributions = attribute(config, predictor, rows, background)
        except Exception as error:  # noqa: BLE001 - whatever stops it, it cannot be compared with
            reason = first_line(error)
            return _Explained(problem=f"the champion cannot be explained: {reason}")
    columns = importance(attributions)
    _, problem = _problem(attributions, columns, config.explain.tolerance)
    unexplained = f"the champion cannot be explained: {problem}" if problem else None
    return _Explained(problem=unexplained, columns=None if problem else columns, attributions=attributions)


def _champion(champion: "Version | None", explained: "_Explained | None") -> "ExplainChampion | None":
    if champion is None or explained is None:
        return None
    attributions = explained.attributions
    return {
        "version": champion.number,
        "run_id": champion.run_id,
        "problem": explained.problem,
        "explainer": attributions.explainer if attributions else None,
        "scale": attributions.scale if attributions else None,
        "rows": attributions.rows if attributions else None,
        "columns": columns_record(explained.columns) if explained.columns else None,
    }


def _described(attributions: "Attributions", config: Config, predictor: model.Predictor) -> dict[str, object]:
    place = explained_class(config, predictor)
    return {
        "explainer": attributions.explainer,
        "note": attributions.note,
        "scale": attributions.scale,
        "target_class": None if place is None else str(predictor.classes[place]),
        "rows": attributions.rows,
        "background": attributions.background,
        "permutations": attributions.permutations,
        "base": [_finite(value) for value in attributions.base.tolist()],
        "additivity": {
            "error": _finite(attributions.error),
            "largest_output": _finite(attributions.largest),
            "tolerance": config.explain.tolerance,
            "holds": attributions.holds(config.explain.tolerance),
        },
    }


def _finite(value: float) -> float | None:
    import math

    return float(f"{value:.9g}") if math.isfinite(value) else None


def _write(
    folder: Path,
    section: Mapping[str, object],
    attributions: "Attributions",
    rows: "pd.DataFrame",
    drawn: tuple[list[ColumnImportance], list[ColumnImportance] | None] | None,
) -> None:
    """Write the numbers, and the figures where there is something to draw."""
    from model_ci.stages.explain import figures

    (folder / "importance.json").write_text(json.dumps(section, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    dependence = {name: _points(attributions, rows, name) for name in attributions.columns}
    (folder / "dependence.json").write_text(json.dumps(dependence, allow_nan=False) + "\n", encoding="utf-8")
    if drawn:
        columns, champion = drawn
        figures.draw(folder, attributions, rows, columns, champion)


def _points(attributions: "Attributions", rows: "pd.DataFrame", name: str) -> "JSONObject":
    """Return a column's values with what each added, one list for each output."""
    values = rows[name].astype(object).where(rows[name].notna(), None).tolist()
    at = list(attributions.columns).index(name)
    return {
        "values": [_plain(value) for value in values],
        "attributions": [[_finite(v) for v in output] for output in attributions.values[:, at].T.tolist()],
    }


def _plain(value: object) -> "JSON":
    if isinstance(value, float):
        return _finite(value)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
