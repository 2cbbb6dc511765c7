"""explain --row: why one decision was made, column by column, in figures that add up to what the model said."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci.commands import check_config
from model_ci.config import Config
from model_ci.errors import ConfigError, Exit
from model_ci.run import Run, find
from model_ci.stages.explain import stage as explain

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.data.table import Table
    from model_ci.explanation.attributions import Attributions
    from model_ci.model import Predictor
    from model_ci.types import Series

_MOST_ROWS: Final = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what says which decisions are meant."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--row", default="", metavar="N|JSON",
        help="explain one decision and nothing else: of the held-out row N, counted from 1, or of a JSON object",
    )  # fmt: skip
    which.add_argument("--rows-file", default="", metavar="FILE", help="explain the decisions on a CSV or Parquet file")


def main(arguments: argparse.Namespace) -> int:
    """Print a table for each row; nothing is recorded."""
    from model_ci.data import table
    from model_ci.explanation import explainer

    config = check_config.load(arguments)
    run = find(config, arguments.run, stage="train", wanted_by="explain")
    data = table.load(config.data, root=config.root)
    with explain.opened(config, run) as predictor:
        rows = _asked(arguments, predictor, data, run)
        attributions = explain.attribute(config, predictor, rows, explainer.background(data.train, config.explain.seed))
        print(_model(config, run))
        for i in range(attributions.rows):
            print(_decision(attributions, predictor, config, rows, i))
    if not attributions.holds(config.explain.tolerance):
        print(f"The attributions miss the model's output by up to {attributions.error:.3g}: do not rely on them.")
    if attributions.rows < len(rows):
        print(
            f"{len(rows) - attributions.rows} more rows were left out: this model takes too long to be asked about them."
        )
    return Exit.YES


def _model(config: Config, run: Run) -> str:
    """Name the model that is explained, and the stages that refused it."""
    failed = run.failed()
    refused = f", which was refused: {', '.join(failed)} failed" if failed else ""
    return f"{config.model.name} of run {run.id}{refused}\n"


def _asked(arguments: argparse.Namespace, predictor: "Predictor", data: "Table", run: Run) -> "pd.DataFrame":
    if arguments.rows_file:
        return _typed(_read(Path(arguments.rows_file)), predictor, data, "--rows-file")
    if arguments.row.strip().lstrip("+-").isdecimal():
        return _held_out(int(arguments.row), data, run)
    return _typed(_parsed(arguments.row), predictor, data, "--row")


def _held_out(number: int, data: "Table", run: Run) -> "pd.DataFrame":
    run.require_data("train", data.version.sha256, f"--row {number}")
    many = len(data.holdout)
    if not 1 <= number <= many:
        raise ConfigError(f"--row {number}: no such row; the held-out rows are 1 to {many}")
    return data.holdout.iloc[[number - 1]]


def _parsed(text: str) -> "pd.DataFrame":
    import pandas as pd

    try:
        values = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--row: is neither a number nor JSON: {error}; write '{{\"column\": value, ...}}'") from None
    if not isinstance(values, dict) or any(isinstance(value, (dict, list)) for value in values.values()):
        raise ConfigError("--row: must be one JSON object with a plain value for each column")
    return pd.DataFrame({name: pd.Series([value], dtype=object) for name, value in values.items()}, index=[0])


def _read(file: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        if file.suffix == ".parquet":
            return pd.read_parquet(file).head(_MOST_ROWS)
        return pd.read_csv(file, dtype=object, keep_default_na=False, na_values=[""], nrows=_MOST_ROWS)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--rows-file {file}: cannot be read: {error}; name a CSV or Parquet file") from None


def _typed(rows: "pd.DataFrame", predictor: "Predictor", data: "Table", option: str) -> "pd.DataFrame":
    """Give each column the type that the model was trained on; raise ConfigError with all that does not fit."""
    import pandas as pd

    known = list(data.holdout.columns)
    wrong = [f"{option}: no column {name!r} in the data; there are {', '.join(known)}" for name in rows if name not in known]  # fmt: skip
    missing = [name for name in predictor.columns if name not in rows]
    if missing:
        wrong.append(f"{option}: {', '.join(missing)} missing; the model needs each column, null where it is not known")
    columns = {}
    for name in predictor.columns:
        if name in rows and name in data.train:
            try:
                columns[name] = _cast(rows[name], data.train[name])
            except (TypeError, ValueError):
                got = ", ".join(repr(value) for value in rows[name].head(3).tolist())
                wrong.append(f"{option}: {name}: must be {data.train[name].dtype}. Got {got}.")
    if wrong:
        raise ConfigError(*wrong)
    return pd.DataFrame(columns)


def _cast(values: "Series", like: "Series") -> "Series":
    import pandas as pd

    if pd.api.types.is_bool_dtype(like):
        words = {"true": True, "1": True, "false": False, "0": False}
        booleans = values.map(lambda value: words.get(str(value).lower()))
        if booleans.isna().any():
            raise ValueError
        return booleans.astype(bool)
    if pd.api.types.is_numeric_dtype(like):
        numbers = pd.to_numeric(values)
        whole = pd.api.types.is_integer_dtype(like) and not numbers.isna().any() and (numbers % 1 == 0).all()
        return numbers.astype(like.dtype if whole else float)
    return values.astype(like.dtype)


def _decision(
    attributions: "Attributions", predictor: "Predictor", config: Config, rows: "pd.DataFrame", i: int
) -> str:
    """Write one decision: the answer, and what each column adds on the way from the base to it."""
    output = int(attributions.outputs[i].argmax())
    total, base = float(attributions.outputs[i, output]), float(attributions.base[output])
    answer = predictor.predict(rows.iloc[[i]]).ravel().tolist()[0]
    adds = sorted(
        zip(attributions.columns, attributions.values[i, :, output].tolist(), strict=True),
        key=lambda pair: -abs(pair[1]),
    )
    shown = [(str(name), _value(rows[name].iloc[i]), f"{added:+.4f}") for name, added in adds]
    table = [("column", "value", "adds"), ("(base)", "", f"{base:+.4f}"), *shown, ("(sum)", "", f"{total:+.4f}")]
    widths = [max(len(line[at]) for line in table) for at in range(3)]
    return "\n".join(
        [
            f"The model says {config.data.target} = {_value(answer)}: {_meaning(attributions, predictor, config, output, total)}.",
            *(f"  {a.ljust(widths[0])}  {b.ljust(widths[1])}  {c.rjust(widths[2])}" for a, b, c in table),
            f"  ({attributions.explainer} explainer{f', {attributions.permutations} permutations' if attributions.permutations else ''})",
            "",
        ]
    )


def _meaning(attributions: "Attributions", predictor: "Predictor", config: Config, output: int, total: float) -> str:
    if config.model.task == "regression":
        return f"the output is {total:.4f}"
    classes = list(predictor.classes)
    place = explain.explained_class(config, predictor)
    of = classes[output if place is None else place] if classes else output + 1
    words = f"the {attributions.scale} of {of} is {total:.4f}"
    if attributions.scale == "log-odds" and config.model.task == "binary":
        return f"{words}, a probability of {_chance(total):.4f}"
    return words


def _chance(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds)) if log_odds > -700 else 0.0


def _value(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "(none)"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return "".join(c if c.isprintable() else "?" for c in text[:60])
