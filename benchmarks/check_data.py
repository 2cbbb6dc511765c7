"""Memory and work of check-data on 500,000 and 5,000,000 rows of 20 columns, each in a process of its own.

Run it from the checkout: `python benchmarks/check_data.py`. Memory must stay flat: what grows are the hashes of rows, 8 bytes a row
for repeated rows and 8 for rows on both sides.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

BAR_MIB: Final = 600
GROUP: Final = 1_000_000
CONFIG: Final = """\
model: {name: benchmark, task: binary}
data: {path: rows.parquet, target: y, time_column: t}
train: {command: "true"}
evaluate: {gates: [{metric: roc_auc, min: 0.5}]}
"""
MEASURED: Final = """\
import resource, sys
from pathlib import Path
from model_ci import config
from model_ci.stages import check_data
settings = config.load(Path(sys.argv[1]))
if sys.argv[2] == "learn":
    check_data.learn(settings)
else:
    result = check_data.run(settings, None)
    assert result.verdict == "passed", result.section["findings"]
used = resource.getrusage(resource.RUSAGE_SELF)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss would be the parent's
print(int(peak.split()[1]) / 1024, used.ru_utime + used.ru_stime)
"""


def write_rows(file: Path, rows: int) -> None:
    """Write 12 real, 4 whole, 2 text columns, a time and a target, a million rows to a group, in pieces."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw, writer, piece = np.random.default_rng(0), None, min(rows, GROUP)
    for start in range(0, rows, piece):
        columns = {f"real_{i}": draw.normal(size=piece) for i in range(12)}
        columns |= {f"whole_{i}": draw.integers(0, 1000, piece) for i in range(4)}
        columns["kind"] = np.array(["AA", "BB", "CC", "DD"])[draw.integers(0, 4, piece)]
        columns["name"] = np.char.add("N", draw.integers(0, 5000, piece).astype(str))
        columns["t"] = np.datetime64("2020-01-01", "us") + (start + np.arange(piece)).astype("timedelta64[s]")
        columns["y"] = (columns["real_0"] + draw.normal(size=piece) > 1).astype(int)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table, row_group_size=GROUP)
    if writer:
        writer.close()


def measure(folder: Path, what: str) -> tuple[float, float]:
    """Return the peak of the resident memory in MiB and the seconds of CPU."""
    command = [sys.executable, "-c", MEASURED, str(folder / "model-ci.yaml"), what]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    memory, seconds = map(float, said.split())
    return memory, seconds


def main() -> int:
    """Measure and print; return 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, default=[500_000, 5_000_000])
    most = 0.0
    print(f"{'rows':>10}  {'what':<6}  {'peak MiB':>8}  {'CPU s':>6}")
    for rows in parser.parse_args().rows:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "model-ci.yaml").write_text(CONFIG)
            write_rows(folder / "rows.parquet", rows)
            for what in ("learn", "check"):
                memory, seconds = measure(folder, what)
                most = max(most, memory)
                print(f"{rows:>10}  {what:<6}  {memory:>8.0f}  {seconds:>6.2f}", flush=True)
    print(f"bar: {BAR_MIB} MiB, {'kept' if most <= BAR_MIB else 'missed'}")
    return int(most > BAR_MIB)


if __name__ == "__main__":
    sys.exit(main())
