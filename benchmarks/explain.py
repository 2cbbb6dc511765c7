"""What explain costs: CPU of the stage beside a script that calls shap by hand on the same model and rows.

Both are run in turn. The script loads the model and the rows, transforms them, calls shap, sums the encoded parts back
and writes the shares down; it draws nothing. The stage does that and besides checks hashes, judges, and draws three
figures twice. What the stage adds to a run is the difference of a run with it and one without, for there the rest is
imported already.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pipeline import MODEL_CI, cpu

BAR: Final = 1.5
ROWS: Final = 20_000
CONFIG: Final = """\
model: {name: benchmark, task: binary}
data: {path: data.parquet, target: target, time_column: t, holdout: {share: 0.3}}
train: {entrypoint: "model:build"}
evaluate: {gates: [{metric: accuracy, min: 0.1}]}
"""
MODEL: Final = """\
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from sklearn.svm import SVC


def build(kind):
    if kind == "tree":
        encode = make_column_transformer((OrdinalEncoder(), ["a", "b"]), remainder="passthrough")
        return make_pipeline(encode, HistGradientBoostingClassifier(max_iter=100))
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["a", "b"]), remainder="passthrough")
    return make_pipeline(encode, LogisticRegression(max_iter=500) if kind == "linear" else SVC(max_iter=2000))
"""
BY_HAND: Final = """\
import json
import sys

import mlflow.sklearn
import numpy as np
import pandas as pd
import shap

kind, folder, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
table = pd.read_parquet("data.parquet")
holdout = table.iloc[int(len(table) * 0.7):].drop(columns=["t", "target"]).sample(rows, random_state=0)
behind = table.iloc[:int(len(table) * 0.7)].drop(columns=["t", "target"]).sample(200, random_state=0)
model = mlflow.sklearn.load_model(folder)
names = list(holdout.columns)
if kind == "sampled":
    codes = {name: sorted(behind[name].unique()) for name in ("a", "b")}

    def encode(frame):
        return frame.assign(**{n: frame[n].map(codes[n].index) for n in codes}).to_numpy(dtype=float)

    def ask(points):
        frame = pd.DataFrame(points, columns=names)
        return model.decision_function(
            frame.assign(**{n: np.array(codes[n], dtype=object)[frame[n].astype(int)] for n in codes})
        )

    masker = shap.maskers.Independent(encode(behind)[:16], max_samples=16)
    explainer = shap.PermutationExplainer(ask, masker, seed=0)
    summed = explainer(encode(holdout), max_evals=2 * (2 * len(names) + 1), silent=True).values
else:
    encoded = model[:-1].transform(holdout)
    if kind == "tree":
        values = shap.TreeExplainer(model[-1]).shap_values(encoded)
    else:
        masker = shap.maskers.Independent(np.asarray(model[:-1].transform(behind)), max_samples=200)
        values = shap.LinearExplainer(model[-1], masker).shap_values(np.asarray(encoded))
    made = [n.split("__")[1] for n in model[:-1].get_feature_names_out()]
    source = [n if n in names else n.split("_")[0] for n in made]
    summed = np.column_stack([values[:, [s == name for s in source]].sum(axis=1) for name in names])
shares = abs(summed).mean(axis=0) / abs(summed).mean(axis=0).sum()
json.dump(dict(zip(names, shares.tolist())), open("by-hand.json", "w"))
"""


def main() -> int:
    """Measure and print; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=3, help="repetitions (%(default)s)")
    times = parser.parse_args().n
    print("| model | rows | by hand, CPU s | explain, CPU s | ratio | explain adds to a run, CPU s | ratio | bar |")
    print("|---|---|---|---|---|---|---|---|")
    missed = []
    with tempfile.TemporaryDirectory(prefix="model-ci-bench-") as name:
        project = make(Path(name) / "project")
        for kind in ("tree", "linear", "sampled"):
            found = measure(project, kind, times)
            missed += [kind] if max(found[3:5]) > BAR else []
            hand, stage, adds, ratio, added, rows = found
            print(f"| {kind} | {rows} | {hand:.2f} | {stage:.2f} | {ratio:.2f} | {adds:.2f} | {added:.2f} | {BAR} |")
    for kind in missed:
        print(f"missed: {kind}")
    return 1 if missed else 0


def make(project: Path) -> Path:
    """Write the table and the project."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(ROWS, 8)), columns=[f"x{i}" for i in range(8)])
    for name, many in (("a", 5), ("b", 12)):
        table[name] = random.choice([f"{name}{i}" for i in range(many)], ROWS)
    score = table["x0"] + table["x1"] * table["x2"] + (table["a"] == "a1") + random.normal(size=ROWS)
    table = table.assign(t=range(ROWS), target=(score > 0).astype(int))
    project.mkdir()
    table.to_parquet(project / "data.parquet")
    (project / "model-ci.yaml").write_text(CONFIG)
    (project / "model.py").write_text(MODEL)
    (project / "by_hand.py").write_text(BY_HAND)
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    return project


def measure(project: Path, kind: str, times: int) -> tuple[float, float, float, float, float, int]:
    """Return the medians: by hand, the stage by itself, what it adds to a run, both ratios; and the rows."""
    setting = ["--set", f"train.parameters.kind={kind}"]
    ours = [str(MODEL_CI), "run", *setting, "--force", "--stages"]
    cpu([*ours, "train,evaluate,explain"], project)
    rows = explained(project)
    found = []
    for _ in range(times):
        folder = newest(project)
        by_hand = [sys.executable, "by_hand.py", kind, str(folder / "model"), str(rows)]
        hand = cpu(by_hand, project)
        stage = cpu([str(MODEL_CI), "explain", *setting, "--force"], project)
        without = cpu([*ours, "train,evaluate"], project)
        whole = cpu([*ours, "train,evaluate,explain"], project)
        found.append((hand, stage, whole - without, stage / hand, (whole - without) / hand))
    hand, stage, adds, ratio, added = (statistics.median(column) for column in zip(*found, strict=True))
    return hand, stage, adds, ratio, added, rows


def newest(project: Path) -> Path:
    """Return the newest run's folder."""
    return sorted((project / ".model-ci" / "runs").glob("*"))[-1]


def explained(project: Path) -> int:
    """Return how many rows the newest run explained."""
    import json

    return int(json.loads((newest(project) / "run.json").read_text())["stages"]["explain"]["rows"])


if __name__ == "__main__":
    sys.exit(main())
