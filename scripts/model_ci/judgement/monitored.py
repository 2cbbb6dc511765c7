"""The configuration that gates on production rows are judged by."""

from dataclasses import replace

from model_ci.config import Config


def monitored(config: Config) -> Config:
    """Return the configuration with monitor.quality in the place of evaluate."""
    judged = config.monitor.quality
    sure = replace(config.evaluate.uncertainty, block_column=None, block_duration=None)
    evaluate = replace(
        config.evaluate,
        metrics=judged.metrics,
        gates=judged.gates,
        own_gates=(),
        min_rows=judged.min_rows,
        uncertainty=sure,
    )
    return replace(config, evaluate=evaluate)
