"""The metrics that the configuration names, in its gates and in its list."""

from collections.abc import Mapping

from model_ci import entrypoint
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.gates import gate
from model_ci.gates.fairness import FAIRNESS
from model_ci.gates.metrics import MEASURED, Metric, resolve


def metrics(config: Config, where: str = "evaluate") -> dict[str, Metric]:
    """Find every metric that the gates and the list of metrics name; they stand in the section `where`.

    Raises ConfigError for names that the task does not have, and for gates that forbid a model to get better.
    """
    found: dict[str, Metric] = {}
    wrong: list[str] = []
    for name in dict.fromkeys([*(g.metric for g in config.evaluate.gates), *config.evaluate.metrics]):
        if name in FAIRNESS:
            wrong += _unfit_for_fairness(config, name, where)
        elif name not in MEASURED:
            try:
                found[name] = resolve(name, config.model.task, lambda n: entrypoint.load(n, config.root, "evaluate"))
            except ConfigError as error:
                wrong += error.problems
    for i, g in enumerate(config.evaluate.gates):
        better = greater_is_better(found, g.metric)
        here = f"{where}.gates[{i}]"
        if better is True and g.max_rise is not None:
            wrong.append(f"{here}.max_rise: a higher {g.metric} is better; use max_drop")
        if better is False and g.max_drop is not None:
            wrong.append(f"{here}.max_drop: a lower {g.metric} is better; use max_rise")
        if better is None and g.min_gain is not None and g.metric in found:
            wrong.append(f"{here}.min_gain: which way {g.metric} is better is not known; use max_drop or max_rise")
        if g.by and g.metric in MEASURED:
            wrong.append(f"{here}.by: {g.metric} is not of rows, so it has no slices; leave 'by' out")
        if g.metric == "data_age_days" and any(getattr(g, c) is not None for c in gate.RELATIVE):
            wrong.append(f"{here}: when the champion's data ended is not known; give data_age_days a max")
    for name in config.evaluate.own_gates:
        try:
            entrypoint.load(name, config.root, "evaluate.own_gates")
        except ConfigError as error:
            wrong += error.problems
    if wrong:
        raise ConfigError(*wrong)
    return found


def _unfit_for_fairness(config: Config, name: str, where: str) -> list[str]:
    if config.model.task != "binary":
        return [f"{where}: {name} is for the task binary; this is {config.model.task}"]
    wrong = []
    if name in config.evaluate.metrics:
        wrong.append(f"{where}.metrics: {name} is of slices; name it in a gate with 'by'")
    for i, g in enumerate(config.evaluate.gates):
        if g.metric == name and not g.by:
            wrong.append(f"{where}.gates[{i}]: {name} compares slices; add 'by: column'")
        unfit = [c for c in ("min", "max_drop", "min_gain", "max_gap") if getattr(g, c) is not None]
        if g.metric == name and unfit:
            wrong.append(f"{where}.gates[{i}].{unfit[0]}: {name} is a gap itself, less is better; use max or max_rise")
    return wrong


def greater_is_better(found: Mapping[str, Metric], name: str) -> bool | None:
    """Tell which way a metric is better; None where nobody said."""
    if name in MEASURED or name in FAIRNESS:
        return False
    return found[name].greater_is_better if name in found else None


def names(config: Config, metric: str) -> bool:
    """Tell whether the configuration names a metric."""
    return metric in config.evaluate.metrics or any(g.metric == metric for g in config.evaluate.gates)
