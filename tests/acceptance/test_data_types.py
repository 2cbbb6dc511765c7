"""Data as people write it: what stands in the files reaches the model, and what cannot is named."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

Command = Callable[..., Any]

CODE = """
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier


def build(train):
    assert list(train["size"].cat.categories) == ["S", "M", "L", "XL"]
    assert train["size"].cat.ordered
    assert not train["kind"].cat.ordered
    return HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=20)
"""
PLAIN = """
from sklearn.ensemble import HistGradientBoostingClassifier


def build(train, features):
    assert list(features) == ['in "cm"', "a.b"], features
    assert train[features].dtypes.astype(str).tolist() == ["float64", "int64"]
    return HistGradientBoostingClassifier(max_iter=20)
"""


def shirts(rows: int = 800) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    size, kind = draw.choice(["S", "M", "L"], rows), draw.choice(["b", "a", "c"], rows)
    score = 1.5 * (size == "L") + (kind == "a") + draw.normal(size=rows)
    return pd.DataFrame(
        {
            "size": pd.Categorical(size, categories=["S", "M", "L", "XL"], ordered=True),
            "kind": pd.Categorical(kind),
            "width": draw.normal(size=rows),
            "sold": (score > 1).astype(int),
        }
    )


def configure(project: Any, code: str, file: str, **data: Any) -> None:
    (project.root / "model_code.py").write_text(code)
    project.configure(
        data={"path": file, "target": "sold", **data},
        train={"entrypoint": "model_code:build", "parameters": {}},
        evaluate={"gates": [{"metric": "roc_auc", "min": 0.6}]},
    )


def test_categories_reach_the_model_wherever_it_is_asked(project: Any, command: Command) -> None:
    shirts().to_parquet(project.root / "data.parquet", row_group_size=300)
    configure(project, CODE, "data.parquet", exclude=[], time_column=None)
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 0, answer.text
    row = '{"size": "L", "kind": "a", "width": 0.5}'
    answer = command(project.root, "explain", "--row", row)
    assert answer.code == 0, answer.text


def test_what_does_not_reach_the_model_as_it_is_is_named(project: Any, command: Command) -> None:
    rows = shirts().assign(
        price=[Decimal("1.10")] * 800,
        wait=pd.to_timedelta(range(800), unit="s"),
        count=pd.array([None, *range(799)], dtype="Int64"),
        gift=pd.array([None, *[True] * 400, *[False] * 399], dtype="boolean"),
    )
    rows.to_parquet(project.root / "data.parquet")
    configure(project, CODE, "data.parquet", exclude=[], time_column=None)
    answer = command(project.root, "check-data")
    for words in (
        "data.parquet: price: holds decimals, which reach the model as floating-point numbers",
        "data.parquet: wait: holds durations, which reach the model as seconds",
        "data.parquet: count: holds integers with gaps, which reach the model as floating-point numbers and NaN",
        "data.parquet: gift: holds true and false with gaps, which reach the model as floating-point numbers and NaN",
    ):
        assert words in answer.text
    assert "size: holds" not in answer.text


def test_csv_of_another_country(project: Any, command: Command) -> None:
    draw = np.random.default_rng(0)
    lines = ['"in ""cm""";a.b;Größe;Tag;sold']
    for i in range(600):
        width, count = draw.normal(), int(draw.integers(0, 9))
        sold = int(width + count / 4 + draw.normal() > 1)
        shown = f"{width:.4f}".replace(".", ",") if i % 50 else "k. A."
        lines.append(f"{shown};{count};groß;{date(2024, 1, 1) + timedelta(i):%d.%m.%Y};{sold}")
    (project.root / "data.csv").write_bytes("\r\n".join(lines).encode("cp1252"))
    written = {"separator": ";", "decimal": ",", "encoding": "cp1252", "date_format": "%d.%m.%Y", "missing": ["k. A."]}
    configure(project, PLAIN, "data.csv", csv=written, time_column="Tag", exclude=["Größe"])
    answer = command(project.root, "run", "--stages", "check-data,train,evaluate")
    assert answer.code == 0, answer.text
    window = project.record()["stages"]["check-data"]["data"]
    assert (window["first"], window["last"]) == ("2024-01-01", "2025-08-22")


@pytest.mark.parametrize("odd", ["n.a.", "1.000,5"])
def test_an_odd_cell_fails_until_it_is_declared(project: Any, command: Command, odd: str) -> None:
    file: Path = project.root / "data.csv"
    shirts().drop(columns=["size", "kind"]).assign(n=range(800)).to_csv(file, index=False)
    text = file.read_text().splitlines()
    text[-1] = f'"{odd}",1,799'
    file.write_text("\n".join(text) + "\n")
    configure(project, PLAIN, "data.csv", exclude=["n"], time_column=None)
    answer = command(project.root, "check-data")
    assert answer.code == 3
    assert f"width: 1 of 800 rows (0.12%) are not numbers, such as {odd!r}" in answer.text
    for declared in (f"data.csv.missing=['{odd}']", "data.csv.text=[width]"):
        assert "are not numbers" not in command(project.root, "check-data", "--set", declared).text


def test_what_init_writes_runs_where_rows_repeat_and_have_no_time(repository: Any, command: Command) -> None:
    draw = np.random.default_rng(0)
    few = pd.DataFrame({"a": draw.integers(0, 3, 500), "b": draw.integers(0, 3, 500)})
    few["bought"] = np.where(few["a"] + few["b"] + draw.normal(size=500) > 2, 1, 0)
    few.to_csv(repository.root / "rows.csv", index=False)
    answer = command(repository.root, "init", "--data", "rows.csv", "--target", "bought")
    assert answer.code == 0, answer.text
    answer = command(repository.root, "check-data")
    assert answer.code == 0, answer.text
