"""The stage: one reading of the rows, every check, one verdict."""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from model_ci import config
from model_ci.data import hashes, source
from model_ci.data.scan import Scan
from model_ci.errors import ConfigError
from model_ci.stages.check_data import stage as check_data

STRUCTURAL = ["columns", "odd-cells", "rows", "future", "target", "overlap", "leakage"]


def frame(rows: int = 1000, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    x = draw.uniform(-2, 2, rows)
    return pl.DataFrame(
        {
            "id": np.arange(rows) + seed * rows,
            "day": np.datetime64("2024-01-01", "D") + np.arange(rows) // 10,
            "x": x,
            "kind": draw.choice(["a", "b", "c"], rows),
            "late": (x + draw.normal(size=rows) > 0.5).astype(int),
        }
    )


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., config.Config]:
    """Write rows and settings, and read the settings."""

    def write(rows: pl.DataFrame, *overrides: str, **sections: Any) -> config.Config:
        rows.write_parquet(tmp_path / "d.parquet")
        values = {
            "model": {"name": "m", "task": "binary"},
            "data": {"path": "d.parquet", "target": "late", "time_column": "day", "exclude": ["id"]},
            "train": {"command": "true"},
            "evaluate": {"gates": [{"metric": "roc_auc", "min": 0.5}]},
        }
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section}  # type: ignore[dict-item]
        (tmp_path / "model-ci.yaml").write_text(yaml.safe_dump(values))
        return config.load(tmp_path / "model-ci.yaml", overrides)

    return write


def check(settings: config.Config) -> tuple[str, dict[str, Any]]:
    result = check_data.run(settings, None)  # type: ignore[arg-type]
    assert (result.verdict == "failed") is any(f["level"] == "failure" for f in result.section["findings"])
    return result.verdict, dict(result.section)


def test_without_a_contract_the_rest_is_checked_and_that_is_said(settings: Callable[..., config.Config]) -> None:
    verdict, section = check(settings(frame()))
    assert verdict == "passed"
    assert section["contract"] == {"path": "data-contract.yaml", "present": False, "learnt": False}
    assert [c["name"] for c in section["checks"]] == STRUCTURAL
    assert all(c["passed"] for c in section["checks"])
    (finding,) = section["findings"]
    assert finding["level"] == "warning"
    assert "there is no data contract" in finding["what"]
    assert "model-ci check-data --learn" in finding["what"]


def test_learnt_and_kept(settings: Callable[..., config.Config]) -> None:
    wanted = settings(frame())
    file = check_data.learn(wanted)
    assert file == wanted.root / "data-contract.yaml"
    assert yaml.safe_load(file.read_text())["key"] == ["id"]
    verdict, section = check(wanted)
    assert (verdict, section["findings"]) == ("passed", [])
    assert len(section["checks"]) == len(STRUCTURAL) + 6
    assert section["contract"]["present"]


def test_the_next_rows_may_differ_a_little_and_no_more(settings: Callable[..., config.Config]) -> None:
    wanted = settings(frame(3000))
    check_data.learn(wanted)
    verdict, section = check(settings(frame(3000, seed=1)))
    assert (verdict, section["findings"]) == ("passed", [])
    verdict, section = check(settings(frame(3000, seed=1).with_columns(pl.col("x") * 100, new=pl.lit(1))))
    assert verdict == "failed"
    assert {(f["rule"], f["where"]) for f in section["findings"]} == {("columns", "new"), ("ranges", "x")}
    assert [c["name"] for c in section["checks"] if not c["passed"]] == ["contract: columns", "contract: ranges"]


def test_the_record_says_which_rows_and_bytes(settings: Callable[..., config.Config]) -> None:
    rows = frame().with_columns(late=pl.when(pl.col("id") % 10 > 0).then("late"))
    data = check(settings(rows, "data.until=2024-02-01"))[1]["data"]
    assert data["rows"] == 279
    assert data["unlabelled_rows"] == 31
    assert data["train_rows"] + data["holdout_rows"] == 279
    assert (data["first"], data["last"], data["until"]) == ("2024-01-01", "2024-01-31", "2024-02-01")
    assert data["files"][0]["path"] == "d.parquet"
    assert len(data["sha256"]) == 64


@pytest.mark.parametrize("by", ["time", "random"])
def test_the_rows_are_those_that_train_gets(settings: Callable[..., config.Config], by: str) -> None:
    from model_ci.data import table

    rows = frame().with_columns(late=pl.when(pl.col("id") % 10 > 0).then("late"))
    wanted = settings(rows, f"data.holdout.by={by}", "data.window.kind=fixed", "data.window.last=333")
    loaded = table.load(wanted.data, root=wanted.root)
    data = check(wanted)[1]["data"]
    assert {**data} == {**loaded.version.as_record(), **loaded.as_record()}


BROKEN: dict[str, tuple[pl.DataFrame, dict[str, Any], str, str]] = {
    "few": (frame(20), {}, "rows", "20 in the window, at least 100 are needed"),
    "constant": (frame().with_columns(late=pl.lit(1)), {}, "target", "is the same in every row, such as 1"),
    "three": (
        frame().with_columns(late=pl.col("id") % 3),
        {},
        "target",
        "has 3 values, such as 0, 1, 2, but model.task is",
    ),
    "text": (
        frame().with_columns(late=pl.col("kind")),
        {"model": {"name": "m", "task": "regression"}},
        "target",
        "holds text, but model.task is regression",
    ),
    "changed": (
        frame().with_columns(late=(pl.col("id") >= 900).cast(pl.Int64)),
        {},
        "target",
        "is the same in every training row",
    ),
    "leak": (
        frame().with_columns(arrival=pl.col("late") * 20.0 + pl.col("x") / 100),
        {},
        "leakage",
        "predicts late all by itself (area under the ROC curve 1.0000",
    ),
    "one class held out": (
        frame().with_columns(late=pl.when(pl.col("id") < 790).then("late").otherwise(0)),
        {},
        "target",
        "is the same in every held-out row, such as 0, so a model that always answers that looks perfect",
    ),
    "future": (
        frame().with_columns(day=pl.when(pl.col("id") == 7).then(pl.date(9999, 12, 31)).otherwise("day")),
        {"data": {"holdout": {"by": "random"}}},
        "future",
        "1 of 1000 rows (0.10%) lie in the future, such as '9999-12-31'; correct the times",
    ),
    "overlap": (
        pl.concat([frame(100)] * 10).with_columns(day=frame()["day"]),
        {},
        "overlap",
        "200 of 200 rows (100.00%) of the holdout stand in the training rows",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_fails_without_a_contract(settings: Callable[..., config.Config], case: str) -> None:
    rows, sections, rule, says = BROKEN[case]
    verdict, section = check(settings(rows, **sections))
    assert verdict == "failed"
    found = [f for f in section["findings"] if f["level"] == "failure"]
    assert [f["rule"] for f in found] == [rule]
    assert says in found[0]["what"]
    assert [c for c in section["checks"] if c["name"] == rule and not c["passed"]]


def test_without_a_sound_target_leakage_is_not_said_to_be_absent(settings: Callable[..., config.Config]) -> None:
    section = check(settings(frame().with_columns(late=pl.lit(1))))[1]
    assert [c["name"] for c in section["checks"] if not c["passed"]] == ["target", "leakage"]


def test_leakage_is_looked_for_where_the_model_learns(settings: Callable[..., config.Config]) -> None:
    rows = frame()
    only_in_training = pl.when(pl.col("id") < 800).then(pl.col("late") * 1.0).otherwise("x")
    section = check(settings(rows.with_columns(copy=only_in_training)))[1]
    assert [f["where"] for f in section["findings"] if f["rule"] == "leakage"] == ["copy"]


def test_findings_of_many_kinds_come_at_once(settings: Callable[..., config.Config]) -> None:
    check_data.learn(settings(frame()))
    broken = frame(50).with_columns(copy=pl.col("late"), kind=pl.lit("zz"))
    rules = {f["rule"] for f in check(settings(broken))[1]["findings"]}
    assert {"rows", "leakage", "columns", "values"} <= rules


def test_all_rows_on_one_side_are_refused(settings: Callable[..., config.Config]) -> None:
    wanted = settings(frame(3), "data.time_column=null", "data.holdout.by=random", "data.holdout.share=0.0001")
    with pytest.raises(ConfigError, match="all 3 rows are for training"):
        check(wanted)


def test_an_absent_label_everywhere_is_refused(settings: Callable[..., config.Config]) -> None:
    with pytest.raises(ConfigError, match="late: no row has a value of the target"):
        check(settings(frame().with_columns(late=pl.lit(None, pl.Int64))))


def test_data_that_changes_while_it_is_checked_is_refused(
    settings: Callable[..., config.Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(frame())
    batches = Scan.batches

    def change(self: Scan) -> Any:
        yield from batches(self)
        (wanted.root / "d.parquet").write_bytes(b"other")

    monkeypatch.setattr(Scan, "batches", change)
    with pytest.raises(ConfigError, match="changed while it was read"):
        check(wanted)


def test_what_the_result_depends_on(settings: Callable[..., config.Config]) -> None:
    def inputs(*overrides: str, rows: pl.DataFrame | None = None) -> Any:
        return check_data.inputs(settings(frame() if rows is None else rows, *overrides), None)  # type: ignore[arg-type]

    first = inputs()
    assert inputs() == first
    assert inputs(rows=frame(1001)) != first
    assert inputs("data.holdout.share=0.3") != first
    assert inputs("check-data.min_rows=10") != first
    assert inputs("data.holdout.by=random", "data.holdout.seed=1") != inputs("data.holdout.by=random")
    assert inputs("train.seed=1") == first
    assert inputs("evaluate.min_rows=10") == first
    check_data.learn(settings(frame()))
    assert inputs() != first


def test_what_decides_whether_to_run_is_cheap(settings: Callable[..., config.Config]) -> None:
    """Nothing heavy is imported, and unchanged data is not read."""
    import subprocess
    import sys

    wanted = settings(frame())
    code = (
        "import sys; from pathlib import Path; from model_ci import config; from model_ci.stages.check_data import stage as check_data;"
        f"check_data.inputs(config.load(Path({str(wanted.root / 'model-ci.yaml')!r})), None);"
        "print([m for m in ('polars', 'pandas', 'numpy', 'pandera', 'pyarrow', 'dvc') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_bytes_are_hashed_once(settings: Callable[..., config.Config], monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import time

    from model_ci.data import table

    wanted = settings(frame())
    os.utime(wanted.root / "d.parquet", ns=(1_700_000_000_123_456_789,) * 2)
    time.sleep(0.15)  # a younger file's hash is not trusted
    read, count = hashes._read, []
    monkeypatch.setattr(hashes, "_read", lambda *given: count.append(1) or read(*given))
    check_data.inputs(wanted, None)  # type: ignore[arg-type]
    check(wanted)
    table.load(wanted.data, root=wanted.root)
    source.version(source.resolve(wanted.data, wanted.root))
    assert len(count) == 1


def test_what_is_planned_may_lie_in_the_future(settings: Callable[..., config.Config]) -> None:
    rows = frame().with_columns(day=pl.col("day").dt.offset_by("200y"))
    verdict, section = check(settings(rows, **{"check-data": {"future": 1}}))
    assert verdict == "passed", section["findings"]
    rows = frame().with_columns(day=pl.col("id"))
    assert check(settings(rows, data={"exclude": []}))[0] == "passed", "numbers have no future"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (
            pl.when(pl.col("id") == 5).then(9).otherwise(pl.col("id") % 3),
            "1 of 4 classes are not among the held-out rows",
        ),
        (
            pl.when(pl.col("id") == 995).then(9).otherwise(pl.col("id") % 3),
            "1 classes of the held-out rows are not among the",
        ),
    ],
)
def test_a_class_on_one_side_only_is_a_warning(
    settings: Callable[..., config.Config], target: pl.Expr, says: str
) -> None:
    wanted = settings(frame().with_columns(late=target), model={"name": "m", "task": "multiclass"})
    verdict, section = check(wanted)
    (finding,) = [f for f in section["findings"] if f["rule"] == "target"]
    assert (verdict, finding["level"]) == ("passed", "warning")
    assert says in finding["what"]


@pytest.mark.parametrize(
    ("name", "values", "bounds"),
    [
        ("month", range(1, 7), (1, 12)),
        ("arrDelayHour", range(5, 20), (0, 23)),
        ("grade", range(1, 6), (1, 5)),
        ("day", range(1, 32), (1, 31)),
        ("passengers", [*[1] * 500, *[2] * 300, *[3] * 50, 4], (1, 4)),
        ("amount", [0, 3, 100, 250], (0, 275)),
        ("day", [1, 40, 366], (0, 402)),
    ],
)
def test_a_learnt_contract_allows_what_can_be(
    settings: Callable[..., config.Config], name: str, values: Iterable[int], bounds: tuple[int, int]
) -> None:
    cycled = [value for _, value in zip(range(1000), itertools.cycle(values), strict=False)]
    rows = frame().rename({"day": "t"}).with_columns(pl.Series(name, cycled))
    learnt = yaml.safe_load(check_data.learn(settings(rows, data={"time_column": "t"})).read_text())["columns"][name]
    assert (learnt["min"], learnt["max"]) == bounds
