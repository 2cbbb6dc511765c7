"""The two models, asked about the same rows."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from model_ci import model
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.gates.metrics import Metric, measure
from model_ci.gates.outputs import Outputs, Scores
from model_ci.gates.quality import Quality
from model_ci.judgement.named import metrics, names
from model_ci.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.data.table import Table
    from model_ci.registry import Registry, Version


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two models: its scores, and its outputs where it could be asked.

    Of a champion that is not asked about the same rows, `quality` is what was measured of it on others. `dependence`
    tells how its answer to a row depends on the rows that are asked with it, None where it does not.
    """

    scores: Scores
    outputs: Outputs | None
    quality: Quality | None = None
    dependence: str | None = None


def ask(config: Config, run: Run, data: "Table") -> Side:
    """Ask the run's model about the holdout, and score it."""
    named = metrics(config)
    trained = run.require("train", wanted_by="evaluate")["model"]
    folder = run.folder / trained["folder"]
    model.check(folder, trained["files"])
    asked = _ask(config, folder, data.holdout, named, "evaluate", alone=True)
    if not names(config, "data_age_days"):
        return asked
    values = {**asked.scores.values, "data_age_days": _age_days(config, data)}
    return replace(asked, scores=replace(asked.scores, values=values))


def side(named: Mapping[str, Metric], outputs: Outputs, measured: Mapping[str, float | None]) -> Side:
    """Score what a model said; `measured` is what is not of rows."""
    outputs = outputs.frozen()  # the model may keep the arrays that it answered with
    scores = measure(named, outputs)
    return Side(scores=replace(scores, values={**scores.values, **measured}), outputs=outputs)


def of_quality(known: Quality, named: Mapping[str, Metric]) -> Side:
    """Return a model as what was measured of it on other rows."""
    return Side(scores=known.scores([*named]), outputs=None, quality=known)


def ask_champion(
    config: Config, champion: "Version", store: "Registry", data: "Table", named: Mapping[str, Metric]
) -> Side:
    """Score the champion; one that cannot be asked any more has no values, so that nothing passes against it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = store.download(champion, Path(scratch))
        try:
            return _ask(config, folder, data.holdout, named, f"version {champion.number}")
        except Exception as error:  # noqa: BLE001 - whatever stops it, it cannot be compared with
            reason = f"cannot be asked: {error}".splitlines()[0]
            every_name = [*dict.fromkeys([*(g.metric for g in config.evaluate.gates), *named])]
            scores = Scores(values=dict.fromkeys(every_name), reasons=dict.fromkeys(every_name, reason))
            return Side(scores=scores, outputs=None)


def _ask(  # noqa: PLR0913 - what is asked, and about what
    config: Config, folder: Path, rows: "pd.DataFrame", named: Mapping[str, Metric], name: str, *, alone: bool = False
) -> Side:
    """Ask a saved model in a process of its own, which sees no truth, once it has answered its probe as it did.

    `alone` has some rows asked alone as well.
    """
    target, positive = config.data.target, config.model.positive
    features = rows.drop(columns=target)
    with model.asked(folder, positive, name) as asked:
        _, classes = asked.call("described")
        answers = asked.call("answers", features)
        measured = {}
        if names(config, "latency_ms"):
            measured["latency_ms"] = asked.call("latency_ms", features)
        dependence = asked.call("batch_dependence", features, answers) if alone else None
    if names(config, "size_mb"):
        measured["size_mb"] = model.size_mb(folder)
    outputs = model.outputs(answers, rows[target], classes, config.model.task, positive)
    return replace(side(named, outputs, measured), dependence=dependence)


def _age_days(config: Config, data: "Table") -> float:
    """Return the days from the newest training row to now, or to `data.until` where a past time is run again."""
    import pandas as pd

    column = data.train[str(config.data.time_column)]
    if column.dtype.kind != "M" and not isinstance(column.iloc[0], date):
        raise ConfigError(f"evaluate: data_age_days: {column.name} counts in numbers without a unit; leave it out")
    newest = pd.Timestamp(column.max())
    now = pd.Timestamp(config.data.until) if config.data.until else pd.Timestamp.now(tz="UTC")
    age = (now if now.tzinfo else now.tz_localize("UTC")) - (newest if newest.tzinfo else newest.tz_localize("UTC"))
    return float(age.total_seconds() / 86400)
