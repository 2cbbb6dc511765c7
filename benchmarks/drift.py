"""What a check of drift costs beside Evidently's default preset on the same files, and beside merely reading them.

Run it from the checkout: `python benchmarks/drift.py [rows ...]`, by default 10,000, 1,000,000 and 10,000,000 rows of 20 columns.
Measured is the whole command `model-ci check-drift`, with everything that Python imports. CPU is that of the process and
its threads, memory the highest that was resident.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

BARS: Final = {10_000: 1 / 8, 1_000_000: 1 / 15}  # of Evidently's CPU
READING_BAR: Final = 4.0  # times merely reading, from 10,000,000 rows on
MEMORY_BAR_MB: Final = 400
LARGE: Final = 10_000_000
GROUP: Final = 1_000_000
CONFIG: Final = """\
model: {name: benchmark, task: regression}
data: {path: before.parquet, target: n0}
train: {command: "true"}
evaluate: {gates: [{metric: rmse, max: 1}]}
check-drift: {rows: now.parquet, reference: REFERENCE, rules: RULES}
"""
MEASURED: Final = """
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss would be the parent's
print("\\nmeasured", used.ru_utime + used.ru_stime, int(peak.split()[1]) / 1024)
"""
OURS: Final = """\
import contextlib, io
from model_ci.__main__ import exit_code
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
    code = exit_code(["check-drift"])
assert code in (0, 3), told.getvalue()
"""
EVIDENTLY: Final = """\
import warnings
warnings.simplefilter("ignore")
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
before, now = pd.read_parquet("before.parquet"), pd.read_parquet("now.parquet")
texts = [c for c in before if c.startswith("c")]
definition = DataDefinition(numerical_columns=[c for c in before if c not in texts], categorical_columns=texts)
sides = [Dataset.from_pandas(side, data_definition=definition) for side in (now, before)]
said = Report([DataDriftPreset()]).run(*sides).dict()
assert said["metrics"]
"""
READING: Final = """\
import pyarrow.parquet as pq
with pq.ParquetFile("now.parquet") as file:
    rows = sum(batch.num_rows for batch in file.iter_batches(1 << 17))
assert rows
"""


def write_rows(file: Path, rows: int, seed: int, shifted: int) -> None:
    """Write 15 columns of numbers, the first `shifted` of them moved, and 5 of text, a million rows to a group."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw, writer = np.random.default_rng(seed), None
    for start in range(0, rows, GROUP):
        n = min(GROUP, rows - start)
        columns = {f"n{i}": draw.normal(i, 1 + i, n) if i % 3 else draw.lognormal(0, 1, n) for i in range(14)}
        columns = {k: v + (0.3 * v.std() if i < shifted else 0) for i, (k, v) in enumerate(columns.items())}
        columns["n14"] = draw.integers(0, 40, n)
        for i in range(5):
            names = np.array([f"value {j}" for j in range(4 * (i + 1) ** 2)])
            codes = pa.DictionaryArray.from_arrays(draw.integers(0, len(names), n).astype(np.int32), names)
            columns[f"c{i}"] = codes.dictionary_decode()
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table, row_group_size=GROUP)
    if writer:
        writer.close()


def measure(folder: Path, script: str) -> tuple[float, float]:
    """Run a script; return its CPU seconds and its highest resident memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", script + MEASURED], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    _, cpu, memory = done.stdout.splitlines()[-1].split()
    return float(cpu), float(memory)


def configure(folder: Path, reference: str, rules: str = "own") -> None:
    (folder / "model-ci.yaml").write_text(CONFIG.replace("REFERENCE", reference).replace("RULES", rules))


def profiled(folder: Path) -> str:
    """Leave a profile of the reference: that of a window which is the reference itself."""
    configure(folder, "before.parquet")
    (folder / "now.parquet").rename(folder / "kept.parquet")
    (folder / "now.parquet").symlink_to("before.parquet")
    measure(folder, OURS)
    (folder / "now.parquet").unlink()
    (folder / "kept.parquet").rename(folder / "now.parquet")
    newest = max((folder / ".model-ci" / "runs").iterdir())
    (folder / "profile.json.gz").write_bytes((newest / "drift" / "profile.json.gz").read_bytes())
    return "profile.json.gz"


def compare(rows: int, times: int) -> list[str]:
    """Measure one size; return the bars that are missed."""
    missed = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_rows(folder / "before.parquet", min(rows, GROUP), 1, 0)
        write_rows(folder / "now.parquet", rows, 2, 3)
        profile = profiled(folder)
        ways = {"reading": (READING, None)}
        if rows < LARGE:
            ways |= {"evidently": (EVIDENTLY, None), "exact": (OURS, ("before.parquet", "evidently"))}
        ways |= {"table": (OURS, ("before.parquet", "own")), "profile": (OURS, (profile, "own"))}
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(times):
            for way, (script, settings) in ways.items():
                if settings:
                    configure(folder, *settings)
                found[way].append(measure(folder, script))
        best = {
            way: (sorted(f[0] for f in each)[len(each) // 2], max(f[1] for f in each)) for way, each in found.items()
        }
        peer = best.get("evidently", best["reading"])[0]
        for way, (cpu, memory) in best.items():
            print(
                f"{rows:>11,}  {way:<10} {cpu:8.2f} s CPU  {memory:7.0f} MB  {cpu / peer:7.3f} of {'Evidently' if rows < LARGE else 'reading'}"
            )
        newest = max((folder / ".model-ci" / "runs").iterdir())
        section = json.loads((newest / "run.json").read_text())["stages"]["check-drift"]
        if {c["name"] for c in section["columns"] if c["drifted"]} != {"n0", "n1", "n2"}:
            missed.append(f"{rows}: the columns that were moved are not those that drifted")
        missed += [
            f"{rows}: {way} took {best[way][0] / peer:.3f} of Evidently's CPU, the bar is {BARS[rows]:.3f}"
            for way in ("table", "profile", "exact")
            if rows in BARS and best[way][0] > BARS[rows] * peer
        ]
        if rows >= LARGE and best["profile"][0] > READING_BAR * peer:
            missed.append(f"{rows}: {best['profile'][0] / peer:.1f} times reading, the bar is {READING_BAR}")
        if rows >= LARGE and best["profile"][1] > MEMORY_BAR_MB:
            missed.append(f"{rows}: {best['profile'][1]:.0f} MB, the bar is {MEMORY_BAR_MB}")
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, default=[10_000, 1_000_000, LARGE])
    parser.add_argument("-n", type=int, default=1, help="how often")
    asked = parser.parse_args()
    missed = [text for rows in asked.rows for text in compare(rows, asked.n)]
    if missed:
        sys.exit("\n".join(missed))


if __name__ == "__main__":
    main()
