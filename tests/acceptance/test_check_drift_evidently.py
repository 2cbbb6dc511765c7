"""`rules: evidently` beside Evidently itself: the same methods, scores, thresholds and verdicts."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Command = Callable[..., Any]
NUMBERS = ["normal", "skewed", "gaps", "few", "two", "dozen", "constant", "tiny"]
TEXTS = ["coin", "kind", "city", "flag", "new"]
METHODS = {
    "K-S p_value": "ks", "chi-square p_value": "chi_square", "Z-test p_value": "z", "PSI": "psi", "psi": "psi",
    "Wasserstein distance (normed)": "wasserstein", "Jensen-Shannon distance": "jensen_shannon",
    "wasserstein": "wasserstein", "jensenshannon": "jensen_shannon", "ks": "ks", "chisquare": "chi_square",
}  # fmt: skip


def table(rows: int, seed: int, shift: float) -> Any:
    import pandas as pd

    draw = np.random.default_rng(seed)
    gaps = draw.normal(shift, 2, rows)
    gaps[::7], gaps[3] = np.nan, np.inf
    return pd.DataFrame(
        {
            "normal": draw.normal(shift, 1, rows),
            "skewed": draw.lognormal(shift, 1, rows),
            "gaps": gaps,
            "few": draw.integers(0, 4, rows),
            "two": draw.integers(0, 2, rows),
            "dozen": draw.integers(0, 13, rows),
            "constant": np.full(rows, 3.0 if seed == 1 else 3.0 + shift),
            "tiny": draw.normal(0, 1e-5, rows) + shift * 1e-5,
            "coin": draw.choice(["heads", "tails"], rows),
            "kind": draw.choice(list("abc"), rows, p=[0.5, 0.3, 0.2] if seed == 1 else [0.4, 0.4, 0.2]),
            "city": draw.choice([f"city {i}" for i in range(30)], rows),
            "flag": draw.choice([True, False], rows),
            "new": draw.choice(["x", "y", "z"] if seed == 1 else ["x", "y", "z", "w"], rows),
        }
    )


def evidently(reference: Any, window: Any, method: dict[str, str]) -> tuple[dict[str, Any], bool]:
    """Return what Evidently's preset says: method, score and threshold by column, and whether the data drifted."""
    with warnings.catch_warnings(action="ignore"):
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        definition = DataDefinition(numerical_columns=NUMBERS, categorical_columns=TEXTS)
        sides = [Dataset.from_pandas(x, data_definition=definition) for x in (window, reference)]
        said = Report([DataDriftPreset(**method)], include_tests=True).run(*sides).dict()
    columns = {
        m["config"]["column"]: (METHODS[m["config"]["method"]], float(m["value"]), m["config"]["threshold"])
        for m in said["metrics"][1:]
    }
    drifted = {
        t["metric_config"]["params"]["column"]: t["status"].value == "FAIL"
        for t in said["tests"]
        if "column" in t["metric_config"]["params"]
    }
    assert drifted.keys() == columns.keys()
    return {n: (*c, drifted[n]) for n, c in columns.items()}, said["metrics"][0]["value"]["share"] >= 0.5


@pytest.mark.parametrize(
    ("rows", "shift", "method", "settings"),
    [
        (800, 0.0, {}, {}),
        (1000, 0.4, {}, {}),
        (1001, 0.4, {}, {}),
        (6000, 0.0, {}, {}),
        (3000, 0.3, {"method": "psi"}, {"numbers": "psi", "categories": "psi"}),
        (500, 0.1, {"num_method": "jensenshannon", "cat_method": "jensenshannon"}, {"numbers": "jensen_shannon", "categories": "jensen_shannon"}),
        (500, 0.1, {"num_method": "wasserstein", "cat_method": "chisquare"}, {"numbers": "wasserstein", "categories": "chi_square"}),
    ],
)  # fmt: skip
def test_the_same_as_evidently(
    project: Any, command: Command, rows: int, shift: float, method: dict[str, str], settings: dict[str, str]
) -> None:
    root: Path = project.root
    reference, window = table(rows, 1, 0.0), table(rows // 2 + 77, 2, shift)
    reference.to_parquet(root / "before.parquet")
    window.to_parquet(root / "now.parquet")
    project.configure(
        data={"time_column": None, "exclude": []},
        check_drift={"rows": "now.parquet", "reference": "before.parquet", "rules": "evidently", **settings},
    )
    said, drifted = evidently(reference, window, method)
    answer = command(root, "check-drift")
    assert answer.code == (3 if drifted else 0), answer.text
    found = {c["name"]: c for c in project.record()["stages"]["check-drift"]["columns"]}
    assert found.keys() == said.keys()
    for name, (how, score, threshold, far) in said.items():
        ours = found[name]
        assert (ours["method"], ours["threshold"], ours["drifted"]) == (how, threshold, far), name
        assert ours["score"] == pytest.approx(score, rel=1e-9, abs=1e-9), name


def test_its_own_page_is_left_beside_the_record(project: Any, command: Command) -> None:
    root: Path = project.root
    for name, seed in (("before", 1), ("now", 2)):
        table(400, seed, 0.5 * seed - 0.5).assign(none=np.nan).to_parquet(root / f"{name}.parquet")
    settings = {"rows": "now.parquet", "reference": "before.parquet", "evidently_report": True, "report_rows": 200}
    project.configure(data={"time_column": None}, check_drift=settings)
    answer = command(root, "check-drift")
    assert answer.code == 3, answer.text
    page = project.runs()[-1] / "drift" / "evidently.html"
    assert page.name in project.record()["stages"]["check-drift"]["files"]
    assert "normal" in page.read_text()
