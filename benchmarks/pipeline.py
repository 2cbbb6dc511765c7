"""What model-ci costs on top of the work: CPU of `model-ci run` beside a bare script that does the same by hand.

Both are run in turn, A B A B, so that what else the machine does falls on both. CPU is user and system time of the
process and all its children, as the kernel counts it. Three projects: a usual table, one of many rows, one of many columns.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

HERE: Final = Path(__file__).resolve().parent
MODEL_CI: Final = Path(sys.executable).with_name("model-ci")
BARS: Final = {"no-op": 0.3, "check-config": 0.25}
CONFIG: Final = """\
model: {{name: benchmark, task: binary}}
data: {{path: {file}, target: target{time}}}
train: {{entrypoint: "model:build"}}
evaluate:
  metrics: [average_precision, brier_score]
  gates:
    - {{metric: roc_auc, min: 0.5, max_drop: 0.05}}
"""
BOOSTED: Final = """\
from sklearn.ensemble import HistGradientBoostingClassifier


def build(seed):
    return HistGradientBoostingClassifier(max_iter=100, random_state=seed)
"""
ENCODED: Final = """\
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder


def build(seed):
    encode = make_column_transformer((OrdinalEncoder(), ["kind"]), remainder="passthrough")
    return make_pipeline(encode, HistGradientBoostingClassifier(max_iter=10, random_state=seed))
"""
LINEAR: Final = """\
from sklearn.linear_model import LogisticRegression


def build(seed):
    return LogisticRegression(C=0.01, random_state=seed)
"""


def usual(random: "np.random.Generator") -> "pd.DataFrame":
    """Return 100,000 rows of 20 numbers."""
    return numbers(random, 100_000, 20)


def long(random: "np.random.Generator") -> "pd.DataFrame":
    """Return 1.5 million rows of a day, five numbers and a text: 66 MB of CSV."""
    import numpy as np

    table = numbers(random, 1_500_000, 4).round(3)
    days = np.datetime64("2022-01-01") + np.sort(random.integers(0, 730, len(table)))
    table.insert(0, "day", days.astype(str))
    table["hour"] = random.integers(0, 24, len(table))
    table["kind"] = np.char.add("K", random.integers(0, 40, len(table)).astype(str))
    return table


def wide(random: "np.random.Generator") -> "pd.DataFrame":
    """Return 1,500 rows of 2,000 numbers."""
    return numbers(random, 1_500, 2_000).round(4)


def numbers(random: "np.random.Generator", rows: int, columns: int) -> "pd.DataFrame":
    """Return random numbers, and a target that hangs together with some of them."""
    import pandas as pd

    table = pd.DataFrame(random.normal(size=(rows, columns)), columns=[f"x{i}" for i in range(columns)])
    table["target"] = (table["x0"] + table["x1"] * table["x2"] + random.normal(size=rows) > 0).astype(int)
    return table


@dataclass(frozen=True, kw_only=True)
class Case:
    """A project: its table, its model, the stages that are run, and how much more than the script they may take."""

    text: str
    table: Callable[["np.random.Generator"], "pd.DataFrame"]
    file: str
    model: str
    stages: str
    cpu: float
    compared: float  # against a champion, where 1,000 resamples are drawn as well
    memory: float | None = None
    time: str = ""


CASES: Final = {
    "usual": Case(
        text="100,000 rows, 20 columns", table=usual, file="data.parquet", model=BOOSTED,
        stages="train,evaluate,register", cpu=1.25, compared=1.25,
    ),
    "long": Case(
        text="1,500,000 rows, 8 columns, CSV", table=long, file="data.csv", model=ENCODED,
        stages="check-data,train,evaluate,register", cpu=1.3, compared=1.5, memory=1.5, time=", time_column: day",
    ),
    "wide": Case(
        text="1,500 rows, 2,001 columns, CSV", table=wide, file="data.csv", model=LINEAR,
        stages="check-data,train,evaluate,register", cpu=1.5, compared=1.5, memory=1.5,
    ),
}  # fmt: skip


class Cost(NamedTuple):
    """What a command took: CPU seconds of it and its children, and the most memory that one of them held."""

    cpu: float
    mib: float


def main() -> int:
    """Measure and print; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=5, help="repetitions (%(default)s)")
    parser.add_argument("cases", nargs="*", default=[*CASES], metavar="CASE", help=f"of {', '.join(CASES)} (all)")
    parser.add_argument("--make", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        write(CASES[options.cases[0]], options.make)
        return 0
    print(
        "| what | bare script, CPU s | model-ci, CPU s | ratio | bar | MiB | MiB | bar |\n|---|---|---|---|---|---|---|---|"
    )
    missed: list[str] = []
    for name in options.cases:
        with tempfile.TemporaryDirectory(prefix="model-ci-bench-") as folder:
            missed += measure(name, Path(folder), options.n)
    for text in missed:
        print(f"missed: {text}")
    return 1 if missed else 0


def measure(name: str, folder: Path, times: int) -> list[str]:
    """Measure one case, print its lines, and return which bars it misses."""
    case, bare, project = CASES[name], folder / "bare", folder / "project"
    make(name, bare, project)
    missed = []
    for text, fresh in (("no champion yet", True), ("against the champion", False)):
        bar = case.cpu if fresh else case.compared
        missed += compared(case, text, bar, compare(case, bare, project, times, fresh=fresh))
    if name == "usual":
        missed += alone("no-op", ["run", "--stages", case.stages], project, max(times, 5))
        missed += alone("check-config", ["check-config"], project, max(times, 5))
    return missed


def write(case: Case, folder: Path) -> None:
    """Write a case's table; in a process of its own, whose memory would otherwise count as that of what it starts."""
    import numpy as np

    table = case.table(np.random.default_rng(0))
    table.to_parquet(folder / case.file) if case.file.endswith(".parquet") else table.to_csv(
        folder / case.file, index=False
    )


def make(name: str, bare: Path, project: Path) -> None:
    """Write both projects, and let each make its store, which happens once in a project's life."""
    case = CASES[name]
    for folder in (bare, project):
        folder.mkdir()
        (folder / "model.py").write_text(case.model)
    cost([sys.executable, __file__, name, "--make", str(bare)], bare)
    os.link(bare / case.file, project / case.file)
    (project / "model-ci.yaml").write_text(CONFIG.format(file=case.file, time=case.time))
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    store = f"import mlflow; mlflow.MlflowClient('sqlite:///{bare}/mlflow.db').search_experiments()"
    cost([sys.executable, "-c", store], bare)
    other = ["--set", "model.name=other", "--set", "evaluate.gates=[{metric: roc_auc, min: 0}]"]
    cost([str(MODEL_CI), "run", "--stages", case.stages, *other], project)
    for folder, kept in ((bare, "mlflow.db"), (project, ".model-ci")):
        copy(folder / kept, folder.with_name(f"{folder.name}-empty"))


def compare(case: Case, bare: Path, project: Path, times: int, *, fresh: bool) -> list[tuple[Cost, Cost]]:
    """Run both in turn; `fresh` gives each a store without a model first, otherwise the last one is the champion."""
    pairs = []
    for _ in range(times):
        if fresh:
            copy(bare.with_name("bare-empty"), bare / "mlflow.db")
            copy(project.with_name("project-empty"), project / ".model-ci")
        by_hand = cost([sys.executable, str(HERE / "bare.py"), str(bare)], bare)
        pairs.append((by_hand, cost([str(MODEL_CI), "run", "--stages", case.stages, "--force"], project)))
    return pairs


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder in place of what is there."""
    shutil.rmtree(target, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def cost(command: Sequence[str], folder: Path) -> Cost:
    """Run a command and return what it took; end the benchmark when it fails."""
    foreign = ("CI", "GITHUB_", "GITLAB_", "MLFLOW_", "PYTHONDONTWRITEBYTECODE")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    environment |= {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    log = folder.with_name(f"{folder.name}.log")
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()}")
    return Cost(cpu=usage.ru_utime + usage.ru_stime, mib=usage.ru_maxrss / 1024)


def compared(case: Case, text: str, bar: float, pairs: Sequence[tuple[Cost, Cost]]) -> list[str]:
    """Print the line of both in turn; return the bars that are missed."""
    middle = statistics.median
    cpu, memory = (middle(ours[i] / hand[i] for hand, ours in pairs) for i in range(2))
    seconds, mib = ([middle(pair[side][i] for pair in pairs) for side in range(2)] for i in range(2))
    what = f"{case.text}, {text}"
    print(
        f"| {what} | {seconds[0]:.2f} | {seconds[1]:.2f} | {cpu:.2f} | {bar} "
        f"| {mib[0]:.0f} | {mib[1]:.0f} | {case.memory or ''} |",
        flush=True,
    )
    missed = [f"{what}: CPU"] if cpu > bar else []
    return missed + ([f"{what}: memory"] if case.memory and memory > case.memory else [])


def alone(name: str, arguments: Sequence[str], project: Path, times: int) -> list[str]:
    """Print the line of a command that has nothing to be compared with; return the bars that are missed."""
    seconds = statistics.median(cost([str(MODEL_CI), *arguments], project).cpu for _ in range(times))
    print(f"| `model-ci {arguments[0]}`, {name} | | {seconds:.3f} | | {BARS[name]} | | | |", flush=True)
    return [name] if seconds > BARS[name] else []


if __name__ == "__main__":
    sys.exit(main())
