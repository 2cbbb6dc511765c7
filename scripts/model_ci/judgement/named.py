"""The metrics that the configuration names, in its gates and in its list."""

from collections.abc import Iterator, Mapping

from model_ci import entrypoint
from model_ci.config import Config, Gate
from model_ci.config.conditions import CONDITIONS
from model_ci.errors import ConfigError
from model_ci.gates.fairness import FAIRNESS
from model_ci.gates.metrics import MEASURED, Metric, resolve


def metrics(config: Config, where: str = "evaluate") -> dict[str, Metric]:
    """Find every metric that the gates and the list of metrics name; they stand in the section `where`.

    Raises ConfigError for names that the task does not have, and for gates that forbid a model to get better.
    """
    by_name: dict[str, Metric] = {}
    wrong: list[str] = []
    for name in dict.fromkeys([*(g.metric for g in config.evaluate.gates), *config.evaluate.metrics]):
        if name not in FAIRNESS and name not in MEASURED:
            try:
                by_name[name] = resolve(name, config.model.task, lambda n: entrypoint.load(n, config.root, "evaluate"))
            except ConfigError as error:
                wrong += error.problems
    for i, g in enumerate(config.evaluate.gates):
        better = greater_is_better(by_name, g.metric)
        here = f"{where}.gates[{i}]"
        if g.metric in by_name or better is not None:
            wrong += _against_the_metric(g, better, here)
        if g.by and g.metric in MEASURED:
            wrong.append(f"{here}.by: {g.metric} is not of rows, so it has no slices; leave 'by' out")
        if g.metric == "data_age_days" and g.compares:
            wrong.append(f"{here}: when the champion's data ended is not known; give data_age_days a max")
    for name in config.evaluate.own_gates:
        try:
            entrypoint.load(name, config.root, "evaluate.own_gates")
        except ConfigError as error:
            wrong += error.problems
    if wrong:
        raise ConfigError(*wrong)
    return by_name


def _against_the_metric(gate: Gate, better: bool | None, here: str) -> Iterator[str]:
    """Yield each condition that forbids the model to get better, or needs to know which way that is."""
    plain = [c for c in CONDITIONS.values() if c.tolerates and not c.share]
    for condition in gate.conditions:
        if condition.tolerates and better is not None and condition.sign != (1 if better else -1):
            other = next(
                c for c in CONDITIONS.values() if c.tolerates and c.share == condition.share and c != condition
            )
            way = "higher" if better else "lower"
            yield f"{here}.{condition.name}: a {way} {gate.metric} is better; use {other.name}"
        if better is None and not condition.sign:
            names = " or ".join(c.name for c in plain)
            yield f"{here}.{condition.name}: which way {gate.metric} is better is not known; use {names}"


def greater_is_better(by_name: Mapping[str, Metric], name: str) -> bool | None:
    """Tell which way a metric is better; None where nobody said."""
    if name in MEASURED or name in FAIRNESS:
        return False
    return by_name[name].greater_is_better if name in by_name else None


def names(config: Config, metric: str) -> bool:
    """Tell whether the configuration names a metric."""
    return metric in config.evaluate.metrics or any(g.metric == metric for g in config.evaluate.gates)
