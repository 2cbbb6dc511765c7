"""A year of flights: month after month arrives, is looked at, and the model is trained again, or not.

April to December 2013, one after the other, through model-ci's own commands: the service's champion answers a month's
flights; `check-drift`, `monitor` and `retrain` look at them once the month is over; where `retrain` says so, the pipeline
runs, and its gates say whether the new model takes over. Beside it: a model that is never trained again, and one that is
trained again each month and asked no question.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, Protocol

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before OpenMP is loaded: its threads spin while they wait
HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import pandas as pd  # noqa: E402
import yaml  # noqa: E402
from months import NOT_FEATURES, auc, fit, months  # noqa: E402

from model_ci.__main__ import exit_code  # noqa: E402

FIRST: Final = 4  # the first month that the service answers
Record = dict[str, Any]


class Place(Protocol):
    """Where the project's pipelines run: in this process, or on a platform's runner."""

    def push(self) -> Record:
        """Run the pipeline on what has arrived, and return its record."""

    def look(self) -> tuple[Record, Record | None]:
        """Run what is scheduled; return the record of the look, and of the training where it decided for one."""

    def model(self, run_id: str) -> Any:
        """Load what a run trained."""


class Project:
    """A copy of this folder, with the data that has arrived."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("data", "methods.py", "*.md", "__pycache__", ".*"))
        (folder / "data").mkdir()
        (folder / "service").mkdir()
        (folder / ".gitignore").write_text(".model-ci/\n__pycache__/\n")
        for month in range(1, FIRST):
            self.arrives(month)

    def arrives(self, month: int) -> None:
        """Put a month's flights where the data is, and turn the calendar to its end."""
        name = f"flights-2013-{month:02}.parquet"
        shutil.copyfile(HERE / "data" / name, self.root / "data" / name)
        until = f"2013-{month + 1:02}-01" if month < 12 else "2014-01-01"
        values = yaml.safe_load((HERE / "model-ci.yaml").read_text())
        values["data"]["until"] = until
        # the project's own gates, but for the latency, which tells of the machine that this runs on
        values["evaluate"]["gates"] = [{"metric": "roc_auc", "min": 0.6, "max_drop": 0.01}]
        values["check-drift"] = {"rows": f"data/{name}", "min_rows": 1000}
        values["monitor"] = {
            "predictions": "service/log.jsonl", "outcomes": "service/outcomes.csv", "until": until,
            "quality": {"window": "28d", "gates": [{"metric": "roc_auc", "min": 0.68}]},
        }  # fmt: skip
        values["retrain"] = {
            "cooldown": "20d", "budget": 2, "per": "60d", "patience": 3, "interval": "31d", "until": until,
        }  # fmt: skip
        (self.root / "model-ci.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def serve(self, month: int, model: Any) -> None:
        """Leave the log of a service that answered a month's flights, and what came of them."""
        flights = months(month, month).sort_values("scheduled")
        inputs = flights.drop(columns=NOT_FEATURES)
        said, chances = model.predict(inputs), model.predict_proba(inputs)
        rows = json.loads(inputs.to_json(orient="values"))
        with (self.root / "service" / "log.jsonl").open("w") as log:
            for i, moment in enumerate(flights.scheduled):
                line = {
                    "time": moment.isoformat() + "+00:00", "request_id": f"{month}-{i}", "variant": "champion",
                    "columns": list(inputs.columns), "inputs": [rows[i]], "outputs": [int(said[i])],
                    "probabilities": [chances[i].tolist()], "duration_ms": 1.0,
                }  # fmt: skip
                log.write(json.dumps(line) + "\n")
        outcomes = pd.DataFrame({"request_id": [f"{month}-{i}" for i in range(len(flights))], "late": flights.late})
        outcomes.to_csv(self.root / "service" / "outcomes.csv", index=False)


class Here:
    """This process, on a repository of the project's files."""

    def __init__(self, project: Project) -> None:
        self.root = project.root
        self._git("init", "-q", "-b", "main")

    def push(self) -> Record:
        """Run the pipeline."""
        return self._call("run")

    def look(self) -> tuple[Record, Record | None]:
        """Run what looks and decides, and the pipeline where it decided for it."""
        looked = self._call("run", "--stages", "check-drift,monitor,retrain,record")
        decided = looked["stages"]["retrain"]
        return looked, self._call("run", "--reason", decided["reason"]) if decided["retrain"] else None

    def model(self, run_id: str) -> Any:
        """Load it from the run's folder."""
        return load(self.root / ".model-ci" / "runs" / run_id)

    def _call(self, *arguments: str) -> Record:
        """Commit what has arrived, run model-ci, and return the newest run's record."""
        self._git("add", ".")
        self._git("commit", "-q", "--allow-empty", "-m", "What has arrived")
        said = io.StringIO()
        with contextlib.chdir(self.root), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = exit_code(list(arguments))
        if code not in (0, 3):
            raise SystemExit(f"model-ci {' '.join(arguments)} ended with {code}:\n{said.getvalue()}")
        return json.loads((max((self.root / ".model-ci" / "runs").iterdir()) / "run.json").read_text())  # type: ignore[no-any-return]

    def _git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=Year", "-c", "user.email=year@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True)


def load(run: Path) -> Any:
    """Load the model in a run's folder."""
    import mlflow.sklearn

    return mlflow.sklearn.load_model(str(run / "model"))


def main() -> int:
    """Live through the year, print the table, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=HERE.parent / "demo" / "year", help="scratch folder, made anew")
    parser.add_argument("--last", type=int, default=12, help="last month, 4 to 12")
    arguments = parser.parse_args()
    for name in [n for n in os.environ if n.startswith(("GITHUB_", "GITLAB_", "CI_", "MLFLOW_"))]:
        del os.environ[name]
    started = time.monotonic()
    project = Project(arguments.folder.resolve())
    told = year(project, Here(project), arguments.last)
    print(table(told))
    draw(told, project.root / "year.svg")
    print(f"\nThe plot: {arguments.folder / 'year.svg'}")
    print(f"Took {time.monotonic() - started:.0f} s.", file=sys.stderr)
    return 0


def year(project: Project, place: Place, last: int) -> list[dict[str, Any]]:
    """Return a row a month."""
    frozen = serving = place.model(place.push()["run_id"])
    told = []
    for month in range(FIRST, last + 1):
        flights = months(month, month)
        row = {
            "month": f"{month:02}",
            "never": auc(frozen, flights),
            "always": auc(fit(months(1, month - 1)), flights),
            "model-ci": auc(serving, flights),
        }
        project.serve(month, serving)
        project.arrives(month)
        looked, trained = place.look()
        row |= _found(looked["stages"], trained)
        if trained and _promoted(trained):
            serving = place.model(trained["run_id"])
        told.append(row)
        print(row, file=sys.stderr, flush=True)
    return told


def _found(looked: Record, trained: Record | None) -> dict[str, str]:
    return {
        "drift": looked["check-drift"]["state"],
        "quality": looked["monitor"]["verdict"],
        "retrain": _decision(looked["retrain"]),
        "came of it": ("new champion" if _promoted(trained) else "refused by the gates") if trained else "",
    }


def _promoted(trained: Record) -> bool:
    return bool((trained["stages"].get("register") or {}).get("promoted"))


def _decision(section: dict[str, Any]) -> str:
    causes = ", ".join(cause["kind"] for cause in section["causes"])
    held = ", ".join(held["by"] for held in section["held"])
    return f"yes: {causes}" if section["retrain"] else f"no: {held or 'no cause'}"


def table(told: list[dict[str, Any]]) -> str:
    """Write the rows in Markdown, with the mean of the figures."""
    names = list(told[0])
    means = {n: sum(row[n] for row in told) / len(told) for n in names if isinstance(told[0][n], float)}
    rows = [*told, {"month": "mean", **means}]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for row in rows:
        cells = [f"{row[n]:.3f}" if isinstance(row.get(n), float) else str(row.get(n, "")) for n in names]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(told: list[dict[str, Any]], file: Path) -> None:
    """Draw the three lines, and mark the months that ended in a retraining."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4))
    labels = [row["month"] for row in told]
    for name, style in {"never": ":", "always": "--", "model-ci": "-"}.items():
        axes.plot(labels, [row[name] for row in told], style, marker="o", label=name)
    for row in told:
        if row["came of it"]:
            color = "green" if row["came of it"] == "new champion" else "red"
            axes.axvline(row["month"], color=color, alpha=0.3)
            axes.text(row["month"], axes.get_ylim()[0], f" {row['came of it']}", rotation=90, va="bottom", fontsize=7)
    axes.set(xlabel="month of 2013", ylabel="AUC of the serving model", title="Retraining over a year of flights")
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
