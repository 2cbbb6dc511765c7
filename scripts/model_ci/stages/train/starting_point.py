"""From what a model begins: from scratch, or from the champion; and what was made of it, as a record."""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from model_ci import entrypoint, judgement, model
from model_ci.config import Config
from model_ci.errors import ConfigError, UserCodeError
from model_ci.gates.metrics import MEASURED, measure
from model_ci.origin.training_rows import TrainingRows
from model_ci.run import Run
from model_ci.stages.train import continuing, online, warm
from model_ci.stages.train.predecessor import Predecessor
from model_ci.stages.train.selection import Selection
from model_ci.types import UserFunction

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from model_ci.data.table import Table
    from model_ci.record_types import TrainMethod

_FIRST = "there is no champion to go on from"


class StartingPoint:
    """The champion, where the configuration wants it; it is told of what became of it."""

    def __init__(self, config: Config, champion: Predecessor | None, chosen: Selection, run: Run) -> None:
        self._config, self._champion, self.chosen = config, champion, chosen
        self._asked, self._used = str(config.values["train"]["mode"]), "scratch"
        self._why: str | None = None
        self._steps: dict[str, Any] = {}
        if config.train.mode != self._asked:
            self._why = run.record["trigger"]["reason"]
        elif self._asked != "scratch" and champion is None:
            self._why = _FIRST
        elif self._asked != "scratch" and champion is not None and champion.unfit:
            if not config.train.fall_back:
                raise ConfigError(f"train.mode: {self._asked}: {champion.unfit} (--set train.mode=scratch)")
            self._champion, self._why = None, champion.unfit

    def init_model(self, function: UserFunction) -> "BaseEstimator":
        """Return the champion's estimator for an entry point that takes `init_model`, else None."""
        if not self._goes_on("warm_start") or "init_model" not in inspect.signature(function).parameters:
            return None
        if self._champion is None:
            return None
        try:
            estimator = self._champion.estimator(self._config)
        except continuing.CannotContinueError as reason:
            self._why = str(reason)
            return None
        self._used = "init_model"
        return estimator

    def init_folder(self) -> str:
        """Return the champion's model folder for a command, empty without one."""
        if not self._goes_on("warm_start") or self._champion is None:
            return ""
        self._used = "init_model"
        return str(self._champion.folder)

    def fit(self, estimator: "BaseEstimator", data: "Table", name: str) -> "BaseEstimator":
        """Fit what the entry point returned, by the mode that is asked for; raise UserCodeError when it fails."""
        self._require_estimator(estimator, name)
        if _is_fitted(estimator):
            return estimator
        _seed(estimator, self._config.train.seed)
        with entrypoint.told_as_theirs(f"train: fitting what {name} returned failed"):
            return self._fit(estimator, data)

    @property
    def training_rows(self) -> TrainingRows | None:
        """The rows that the model knows from the champion that it went on from; None from scratch."""
        return self._champion.rows if self._champion and self._used != "scratch" else None

    def as_record(self) -> "TrainMethod":
        """Return it as it stands in a run's record."""
        champion = self._champion if self._used != "scratch" else None
        return {
            "asked": self._asked,
            "used": self._used,
            "why": self._why,
            "fall_back": self._config.train.fall_back,
            "champion": {"version": champion.version, "run_id": champion.run_id} if champion else None,
            "had": self._steps.get("had"),
            "added": self._steps.get("added"),
            "new_rows": self._steps.get("new_rows"),
            "chunks": self._steps.get("chunks"),
            "prequential": self._steps.get("prequential"),
        }

    def _fit(self, estimator: "BaseEstimator", data: "Table") -> "BaseEstimator":
        mode = self._config.train.mode
        if mode == "online":
            online.check(estimator)
            return self._online(estimator, data)
        if mode == "warm_start" and self._used != "init_model":
            warm.check(estimator)
            if self._champion and (grown := self._warm(estimator, data, self._champion)) is not None:
                return grown
        return estimator.fit(data.train[data.features], data.train[data.target].copy())

    def _warm(self, estimator: "BaseEstimator", data: "Table", champion: Predecessor) -> "BaseEstimator | None":
        rows, answers = data.train[data.features], data.train[data.target]
        try:
            both = continuing.pair(champion.estimator(self._config), estimator, rows, answers)
        except continuing.CannotContinueError as reason:
            self._why = str(reason)
            return None
        fitted, steps = warm.go_on(both, rows, answers, self._config.train.warm_start.add)
        self._used, self._steps = "warm_start", steps
        return fitted

    def _online(self, estimator: "BaseEstimator", data: "Table") -> "BaseEstimator":
        rows, start, fitted = data.train, estimator, False
        if self._champion and (first := self._unseen(data)) is not None:
            try:
                pair = continuing.pair(
                    self._champion.estimator(self._config), estimator, rows[data.features], rows[data.target]
                )
                rows, start, fitted = rows.iloc[first:], pair.joined(pair.champion), True
                self._used = "online"
            except continuing.CannotContinueError as reason:
                self._why = str(reason)
        lesson = online.Lesson(
            rows=rows,
            features=list(data.features),
            target=data.target,
            classes=model.classes(self._config, data.train),
            chunk_rows=self._config.train.online.chunk_rows,
            score=self._score(data),
        )
        start, chunks = online.learn(start, lesson, fitted=fitted)
        self._steps = {"new_rows": len(rows), "chunks": len(chunks), "prequential": online.summary(chunks)}
        return start

    def _unseen(self, data: "Table") -> int | None:
        """Return the first row that is new to the champion; None, and why, when it has to begin anew."""
        column = self._config.data.time_column
        first = self._champion.unseen(data.train[column]) if self._champion and column else None
        if first is None:
            self._why = "which rows the champion has learnt from is not known"
        elif first >= len(data.train):
            self._why, first = "no row is new to the champion", None
        return first

    def _score(self, data: "Table") -> "Callable[[BaseEstimator, pd.DataFrame], Mapping[str, float | None]]":
        config = self._config
        named = {n: m for n, m in judgement.metrics(config).items() if n not in MEASURED}
        classes = model.classes(config, data.train)

        def score(estimator: "BaseEstimator", rows: "pd.DataFrame") -> Mapping[str, float | None]:
            predictor = model.Predictor(
                model=estimator, columns=list(data.features), classes=classes, positive=config.model.positive
            )
            return measure(named, predictor.outputs(rows, data.target, config.model.task)).values

        return score

    def _goes_on(self, mode: str) -> bool:
        return self._champion is not None and self._config.train.mode == mode

    def _require_estimator(self, estimator: "BaseEstimator", name: str) -> None:
        if not all(hasattr(estimator, method) for method in ("fit", "predict", "get_params")):
            raise UserCodeError(
                f"train: {name} returned {type(estimator).__name__}, which is no scikit-learn estimator; "
                "return an object with fit, predict and get_params"
            )


def _is_fitted(estimator: "BaseEstimator") -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def _seed(estimator: "BaseEstimator", seed: int) -> None:
    """Set every random_state that the user left open."""
    unset = {k: seed for k, v in estimator.get_params(deep=True).items() if k.endswith("random_state") and v is None}
    estimator.set_params(**unset)
