"""How often a check of drift is wrong: false alarms where nothing changed, and what is found of shifts of known size.

Run it from the checkout: `python benchmarks/drift_alarms.py [rows ...] [-n windows]`. Each window has 20 columns: 10 normal, 3 skewed,
2 of whole numbers, 5 of categories, drawn like the reference's 20,000 rows (as many as the window, from 20,000 on), or moved; each
tenth window has a new reference, so that no odd one decides. Our rules are asked with their defaults; Evidently's default preset is
asked about the first windows only, by our own implementation of it, which tests hold against Evidently itself to nine digits:
`--evidently N` asks Evidently itself about the first N besides, and fails where it says otherwise.
A window is an alarm when any of its columns drifted. The bar is the nominal level, and what chance adds to it (three standard deviations).
"""

import argparse
import math
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from model_ci.profile.profile import Counted, Profile, column
from model_ci.stages.check_drift import evidently, verdict

SIZES: Final = (50, 300, 1_000, 10_000, 1_000_000)
LARGE: Final = 1_000_000
WINDOWS: Final = 1000  # of each size, to count false alarms; a fifth of them for each shift
OF_LARGE: Final = 200
OF_EVIDENTLY: Final = {LARGE: 10}  # its preset sorts the rows, and takes fifty times as long
OF_A_REFERENCE: Final = 10
REFERENCE: Final = 20_000
LEVEL: Final = 0.05
SHIFTS: Final = (0.05, 0.1, 0.2, 0.3, 0.5)  # of one normal column, in standard deviations
RULES: Final = verdict.Rules(
    numbers="wasserstein", categories="jensen_shannon", threshold=0.1, thresholds={}, nulls=0.05, level=LEVEL
)

Pair = tuple[dict[str, Any], Profile, dict[str, Any]]  # the reference's rows, their profile, the window's rows


def rows(n: int, draw: np.random.Generator, shift: float = 0.0) -> dict[str, Any]:
    """Draw rows; the first column is moved."""
    found: dict[str, Any] = {f"normal {i}": draw.normal(size=n) for i in range(10)}
    found["normal 0"] = found["normal 0"] + shift
    found |= {f"skewed {i}": draw.lognormal(size=n) for i in range(3)}
    found |= {"whole": draw.integers(0, 40, n).astype(float), "few": draw.integers(0, 4, n).astype(float)}
    for kinds in (2, 3, 10, 50, 200):
        shares = 1 / np.arange(1, kinds + 1)
        found[f"kinds {kinds}"] = draw.choice(kinds, n, p=shares / shares.sum()).astype(np.int32)
    return found


def batch(values: dict[str, Any]) -> pa.RecordBatch:
    arrays = [
        pa.DictionaryArray.from_arrays(v, [f"k{j}" for j in range(200)]) if v.dtype == np.int32 else pa.array(v)
        for v in values.values()
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[*values])


def ours(reference: Profile, values: dict[str, Any]) -> set[str]:
    counted = Counted.of(reference.columns)
    counted.add(batch(values))
    window = verdict.Window(rows=counted.rows, sketches=counted.sketches, reference=reference.counted.sketches)
    return {j.column.name for j in verdict.judge(reference.columns, window, RULES) if j.drifted}


def theirs(reference: dict[str, Any], values: dict[str, Any]) -> set[str]:
    return {
        name
        for name, window in values.items()
        if evidently.score(reference[name], window, numbers=window.dtype != np.int32).drifted
    }


def evidently_itself(reference: dict[str, Any], values: dict[str, Any]) -> set[str]:
    warnings.simplefilter("ignore")
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    texts = [n for n, v in values.items() if v.dtype == np.int32]
    definition = DataDefinition(numerical_columns=[n for n in values if n not in texts], categorical_columns=texts)
    frames = [
        pd.DataFrame({n: v.astype(str) if n in texts else v for n, v in side.items()}) for side in (values, reference)
    ]
    said = (
        Report([DataDriftPreset()], include_tests=True)
        .run(*(Dataset.from_pandas(f, data_definition=definition) for f in frames))
        .dict()
    )
    params = [(t["metric_config"]["params"], t["status"].value) for t in said["tests"]]
    return {p["column"] for p, status in params if "column" in p and status == "FAIL"}


def profile(values: dict[str, Any]) -> Profile:
    whole = batch(values)
    columns = [column(name, "feature", whole.column(i)) for i, name in enumerate(whole.schema.names)]
    kept = [c for c in columns if c is not None]
    counted = Counted.of(kept)
    counted.add(whole)
    return Profile.from_bytes(Profile(columns=kept, counted=counted).to_bytes(), "simulated")


def upper(alarms: int, windows: int) -> float:
    """Return the least rate that so few alarms speak against, at three standard deviations."""
    return alarms / windows - 3 * math.sqrt(LEVEL * (1 - LEVEL) / windows)


def pairs(n: int, windows: int, draw: np.random.Generator, shift: float = 0.0) -> Iterator[Pair]:
    """Draw so many windows, each with the reference that it is compared with."""
    for i in range(windows):
        if i % OF_A_REFERENCE == 0:
            reference = rows(max(REFERENCE, n), draw)
            known = profile(reference)
        yield reference, known, rows(n, draw, shift)


def alarms(n: int, windows: int, checked: int) -> list[str]:
    """Count false alarms; return what misses the bar."""
    found: dict[str, list[int]] = {"ours": [], "evidently": []}
    missed = []
    for i, (reference, known, window) in enumerate(pairs(n, windows, np.random.default_rng(n))):
        found["ours"].append(len(ours(known, window)))
        if i < OF_EVIDENTLY.get(n, 100):
            said = theirs(reference, window)
            found["evidently"].append(len(said))
            if i < checked and evidently_itself(reference, window) != said:
                missed.append(f"{n}: Evidently itself says otherwise of window {i}")
    for who, counts in found.items():
        wrong, columns = sum(c > 0 for c in counts) / len(counts), sum(counts) / len(counts) / 20
        print(f"{n:>9,} rows  {who:<9} {wrong:7.2%} of {len(counts)} windows, {columns:7.3%} of columns", flush=True)
    wrong = sum(c > 0 for c in found["ours"])
    if upper(wrong, windows) > LEVEL:
        missed.append(f"{n}: {wrong / windows:.1%} false alarms, {LEVEL:.0%} are allowed")
    return missed


def power(n: int, windows: int) -> None:
    """Print how often a shift of one column is found."""
    for shift in SHIFTS:
        drawn = pairs(n, windows, np.random.default_rng([n, int(100 * shift)]), shift)
        found = sum("normal 0" in ours(known, window) for _, known, window in drawn)
        print(f"{n:>9,} rows  moved by {shift:4.2f}  found in {found / windows:6.1%} of {windows} windows", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("-n", type=int, default=None, help="windows of each size")
    parser.add_argument("--evidently", type=int, default=0, metavar="N", help="ask Evidently itself about so many")
    asked = parser.parse_args()
    missed = []
    for n in asked.rows:
        windows = asked.n or (OF_LARGE if n >= LARGE else WINDOWS)
        missed += alarms(n, windows, asked.evidently)
        power(n, max(windows // 5, 20))
    if missed:
        sys.exit("\n".join(missed))


if __name__ == "__main__":
    main()
