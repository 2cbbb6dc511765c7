"""What model-ci costs on top of the work: CPU of `model-ci run` beside a bare script that does the same by hand.

Both are run in turn, A B A B, so that what else the machine does falls on both. CPU is user and system time of the
process and all its children, as the kernel counts it.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
MODEL_CI: Final = Path(sys.executable).with_name("model-ci")
STAGES: Final = ("--stages", "train,evaluate,register")
BARS: Final = {"ratio": 1.25, "no-op": 0.3, "check-config": 0.25}
ROWS: Final = 100_000
FEATURES: Final = 20
CONFIG: Final = """\
model: {name: benchmark, task: binary}
data: {path: data.parquet, target: target}
train:
  entrypoint: model:build
  parameters: {max_iter: 100, learning_rate: 0.1}
evaluate:
  metrics: [average_precision, brier_score]
  gates:
    - {metric: roc_auc, min: 0.6, max_drop: 0.01}
"""
MODEL: Final = """\
from sklearn.ensemble import HistGradientBoostingClassifier


def build(max_iter, learning_rate):
    return HistGradientBoostingClassifier(max_iter=max_iter, learning_rate=learning_rate)
"""


def main() -> int:
    """Measure and print; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=5, help="repetitions (%(default)s)")
    times = parser.parse_args().n
    with tempfile.TemporaryDirectory(prefix="model-ci-bench-") as name:
        bare, project = Path(name) / "bare", Path(name) / "project"
        make(bare, project)
        found = {
            "first": compare(bare, project, times, fresh=True),
            "next": compare(bare, project, times, fresh=False),
            "no-op": [cpu([str(MODEL_CI), "run", *STAGES], project) for _ in range(max(times, 5))],
            "check-config": [cpu([str(MODEL_CI), "check-config"], project) for _ in range(max(times, 5))],
        }
    return report(found)


def make(bare: Path, project: Path) -> None:
    """Write the table and both projects, and let each make its store, which happens once in a project's life."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(ROWS, FEATURES)), columns=[f"x{i}" for i in range(FEATURES)])
    score = table["x0"] + table["x1"] * table["x2"] + random.normal(size=ROWS)
    table["target"] = (score > 0).astype(int)
    for folder in (bare, project):
        folder.mkdir()
        table.to_parquet(folder / "data.parquet")
    (project / "model-ci.yaml").write_text(CONFIG)
    (project / "model.py").write_text(MODEL)
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    cpu(
        [
            sys.executable,
            "-c",
            f"import mlflow; mlflow.MlflowClient('sqlite:///{bare}/mlflow.db').search_experiments()",
        ],
        bare,
    )
    cpu(
        [
            str(MODEL_CI),
            "run",
            *STAGES,
            "--set",
            "model.name=other",
            "--set",
            "train.parameters.max_iter=1",
            "--set",
            "evaluate.gates=[{metric: roc_auc, min: 0}]",
        ],
        project,
    )
    for folder, kept in ((bare, "mlflow.db"), (project, ".model-ci")):
        copy(folder / kept, folder.with_name(f"{folder.name}-empty"))


def compare(bare: Path, project: Path, times: int, *, fresh: bool) -> list[tuple[float, float]]:
    """Run both in turn; `fresh` gives each a store without a model first, otherwise the last one is the champion."""
    pairs = []
    for _ in range(times):
        if fresh:
            copy(bare.with_name("bare-empty"), bare / "mlflow.db")
            copy(project.with_name("project-empty"), project / ".model-ci")
        by_hand = cpu([sys.executable, str(HERE / "bare.py"), str(bare)], bare)
        pairs.append((by_hand, cpu([str(MODEL_CI), "run", *STAGES, "--force"], project)))
    return pairs


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder in place of what is there."""
    shutil.rmtree(target, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def cpu(command: Sequence[str], folder: Path) -> float:
    """Run a command and return the CPU seconds of it and its children; end the benchmark when it fails."""
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
    return usage.ru_utime + usage.ru_stime


def report(found: dict[str, list]) -> int:
    """Print the table; return 1 when a bar is missed."""
    middle: Callable[[Sequence[float]], float] = statistics.median
    print("| what | bare script, CPU s | model-ci, CPU s | ratio | bar |\n|---|---|---|---|---|")
    missed = []
    for name, text in (("first", "first run, no champion yet"), ("next", "next run, against the champion")):
        by_hand, ours = (middle(column) for column in zip(*found[name], strict=True))
        ratio = middle([b / a for a, b in found[name]])
        missed += [text] if ratio > BARS["ratio"] else []
        print(f"| {text} | {by_hand:.2f} | {ours:.2f} | {ratio:.2f} | {BARS['ratio']} |")
    for name, text in (("no-op", "`model-ci run`, nothing to do"), ("check-config", "`model-ci check-config`")):
        seconds = middle(found[name])
        missed += [text] if seconds > BARS[name] else []
        print(f"| {text} | | {seconds:.3f} | | {BARS[name]} |")
    for text in missed:
        print(f"missed: {text}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
