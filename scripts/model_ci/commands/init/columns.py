"""What the columns of a table are for: target, time, features, and what must not be one."""

import difflib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from model_ci.data import times
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.serving import classes as naming
from model_ci.stages.check_data import leakage

if TYPE_CHECKING:
    import polars as pl

_TARGETS: Final = "target label labels y class outcome response ground_truth".split()
_TARGET_WORDS: Final = (
    "churn churned late delayed default defaulted fraud fraudulent survived clicked converted cancelled canceled approved "
    "bought purchased spam readmitted diagnosis species quality price sales demand salary revenue consumption"
).split()
_TIMES: Final = "timestamp time datetime date event_time created_at ts scheduled month day".split()
_MAX_CLASSES: Final = 50
_FEW_NUMBERS: Final = 20
_LEAK: Final = 0.985


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A value and why it was chosen."""

    value: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the user said; the rest is proposed."""

    target: str | None = None
    time_column: str | None = None
    task: str | None = None


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The columns' roles; `excluded` tells of each column that must be no feature why."""

    target: Choice
    task: Choice
    classes: int
    positive: Choice | None  # of two classes, where they do not name it themselves
    time_column: Choice | None
    excluded: Mapping[str, str]
    repeated: float  # share of the newest rows that stand among the older ones, too


def assign(table: "pl.DataFrame", given: Given) -> Roles:
    """Propose a role for every column; what is given is kept.

    Raises ConfigError when what is given is not there, or when nothing can be the target.
    """
    _require(table, "--target", given.target)
    _require(table, "--time-column", given.time_column)
    ids = {name: why for name in table.columns if (why := _identifies(table[name]))}
    timed = [name for name in table.columns if _is_time(table[name])]
    chosen = Choice(value=given.target, why="as told") if given.target else _target(table, {*ids, *timed})
    values = table[chosen.value].drop_nulls()
    kind = Choice(value=given.task, why="as told") if given.task else _task(values, chosen.value)
    _require_fit(values, chosen.value, kind.value)
    when = _time(table, timed, given.time_column, chosen.value, kind.value)
    features = [name for name in table.columns if name not in {chosen.value, when.value if when else None}]
    excluded = {name: why for name in features if (why := ids.get(name) or _useless(table[name], name in timed))}
    features = [name for name in features if name not in excluded]
    labelled = table.filter(table[chosen.value].is_not_null())
    excluded |= _leaks(labelled, features, chosen.value, kind.value)
    features = [name for name in features if name not in excluded]
    if not features:
        reasons = "; ".join(f"{name} is {why}" for name, why in excluded.items())
        raise ConfigError(
            f"{chosen.value}: no column is left to learn it from: {reasons or 'there is none'}; add features"
        )
    return Roles(
        target=chosen,
        task=kind,
        classes=values.n_unique(),
        positive=_positive(values) if kind.value == "binary" else None,
        time_column=when,
        excluded=excluded,
        repeated=_repeated(labelled, when.value, [*features, chosen.value]) if when else 0.0,
    )


def _useless(values: "pl.Series", is_time: bool) -> str | None:
    if values.n_unique() < 2:
        return "the same in every row"
    return "a time, which the starter model cannot read" if is_time else None


def _leaks(rows: "pl.DataFrame", features: list[str], target: str, task: str) -> dict[str, str]:
    """Find what predicts the target all by itself, a little before check-data refuses it."""
    sample = rows.gather_every(max(1, rows.height // leakage.MAX_ROWS))
    powers = leakage.powers(sample, features, target, task)
    return {
        name: f"predicts {target} all by itself ({power:.3f}): is it known beforehand?"
        for name, power in powers.items()
        if power > _LEAK
    }


def _repeated(rows: "pl.DataFrame", time: str, used: list[str]) -> float:
    ordered = rows.sort(time).select(used)
    newest, older = ordered[ordered.height * 4 // 5 :], ordered[: ordered.height * 4 // 5]
    return newest.join(older.unique(), on=used, how="semi", nulls_equal=True).height / max(newest.height, 1)


def _require(table: "pl.DataFrame", option: str, name: str | None) -> None:
    if name is None or name in table.columns:
        return
    near = difflib.get_close_matches(name, table.columns, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(table.columns)}"
    raise ConfigError(f"{option} {name}: no such column; {hint}")


def _target(table: "pl.DataFrame", unfit: set[str]) -> Choice:
    usable = [
        name for name in table.columns if name not in unfit and table[name].n_unique() > 1 and _learnable(table[name])
    ]
    for usual in _TARGETS:
        for name in usable:
            if name.lower() == usual:
                return Choice(value=name, why="by its name")
    for word in _TARGET_WORDS:
        for name in usable:
            if word in _words(name):
                return Choice(value=name, why="by its name")
    if not usable:
        raise ConfigError(
            f"{', '.join(table.columns)}: none of these columns can be a target (identifiers, times, free text, constants); name it with --target"
        )
    return Choice(value=usable[-1], why="the last column; no name says what is to be predicted")


def _task(values: "pl.Series", name: str) -> Choice:
    distinct = values.n_unique()
    if distinct == 2:
        shown = ", ".join(repr(v) for v in values.unique().sort().to_list())
        return Choice(value="binary", why=f"two values: {shown}")
    if not values.dtype.is_numeric():
        return Choice(value="multiclass", why=f"{distinct} values")
    if distinct <= _FEW_NUMBERS and distinct * 20 <= len(values) and (values == values.round()).all():
        return Choice(value="multiclass", why=f"{distinct} whole numbers; if they are amounts: --task regression")
    return Choice(value="regression", why="numbers")


def _positive(values: "pl.Series") -> Choice | None:
    """Propose the rarer class, where the classes themselves do not tell."""
    counts = values.value_counts(sort=True)
    known = counts[values.name].to_list()
    if naming.positive(known) is not None:
        return None
    share = counts["count"][-1] / len(values)
    return Choice(
        value=str(known[-1]), why=f"the rarer class, {share:.0%} of the rows; precision, recall and f1 are of it"
    )


def _require_fit(values: "pl.Series", name: str, task: str) -> None:
    """Raise ConfigError for a task that the target's values do not allow."""
    distinct = values.n_unique()
    if task == "regression" and not values.dtype.is_numeric():
        raise ConfigError(f"--task regression: {name} holds {values.dtype}, not numbers; choose binary or multiclass")
    if task == "binary" and distinct != 2:
        raise ConfigError(f"--task binary: {name} has {distinct} values; choose multiclass or regression")
    if task == "multiclass" and (distinct < 2 or distinct > _MAX_CLASSES):
        raise ConfigError(
            f"{name}: has {distinct} values, too {'few' if distinct < 2 else 'many'} for classes; name another column with --target"
        )


def _time(table: "pl.DataFrame", timed: list[str], given: str | None, target: str, task: str) -> Choice | None:
    if given:
        return Choice(value=given, why="as told")
    fit = [name for name in timed if name != target and not table[name].null_count() and table[name].n_unique() >= 10]
    fit = [name for name in fit if task == "regression" or _newest_hold_every_class(table, name, target)]
    if not fit:
        return None
    best = min(fit, key=lambda name: next((i for i, word in enumerate(_TIMES) if word in name.lower()), len(_TIMES)))
    others = f"; so are {', '.join(name for name in fit if name != best)}" if len(fit) > 1 else ""
    return Choice(value=best, why=f"holds times{others}")


def _newest_hold_every_class(table: "pl.DataFrame", time: str, target: str) -> bool:
    """Tell whether a holdout of the newest rows can be judged on: it and the rows before it hold all classes."""
    ordered = table.sort(time)[target]
    cut = ordered.len() * 4 // 5
    return ordered[:cut].n_unique() == ordered[cut:].n_unique() == ordered.n_unique()


def _is_time(values: "pl.Series") -> bool:
    if values.dtype.is_temporal():
        return True
    if values.dtype.is_numeric():
        return values.name.lower() in {"timestamp", "unix_time", "epoch", "ts"} and values.n_unique() > 10
    return _parses_as_time(values)


def _parses_as_time(values: "pl.Series") -> bool:
    """Tell whether all of a text column is written as dates or times."""
    import polars as pl

    text = values.drop_nulls()
    if values.dtype != pl.String or text.is_empty() or not text.head(100).str.contains(r"^\s*\d{4}-\d").all():
        return False
    writing = times.writing(text[0])
    return writing is not None and pl.select(writing.parse(pl.lit(text))).to_series().null_count() == 0


def _identifies(values: "pl.Series") -> str | None:
    """Return why a column only names its row, or None."""
    import polars as pl

    distinct, rows = values.n_unique(), len(values)
    named_so = bool({"id", "uuid", "guid", "uid"} & set(_words(values.name)))
    if values.name in ("", "Unnamed: 0", "index", "row", "rownames") and distinct == rows:
        return "the row's number"
    if values.dtype.is_integer() and distinct == rows and bool((values.diff().drop_nulls() == 1).all()):
        return "the row's number"
    if named_so and distinct > _FEW_NUMBERS:
        return "an identifier, by its name"
    if values.dtype == pl.String and distinct * 20 > rows * 19 and not _parses_as_time(values):
        return "another text in each row"
    return None


def _learnable(values: "pl.Series") -> bool:
    return values.dtype.is_numeric() or values.n_unique() <= _MAX_CLASSES


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
