"""The story of three runs, on real flights: a first champion, a better one the next month, a worse one that is refused.

Where a Docker engine is, the first champion becomes a service, and the better one gets a tenth of its requests.

Makes a git and DVC workspace in a scratch folder, with a bare repository beside it that takes the pushes, and runs
model-ci in it. Every command is shown as it is run.
"""

import argparse
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import service

HERE: Final = Path(__file__).resolve().parent
MARK: Final = ".made-by-demo"
MODEL: Final = "flight-delays"
RECORDS: Final = "model-ci/records"
FLIGHTS: Final = 1000
# What a CI job or a shell may have set for another repository, another server or another run.
FOREIGN: Final = ("CI", "DVC_", "GIT_", "GITHUB_", "GITLAB_", "MLFLOW_", "MODEL_CI_", "RUNNER_")


class DemoError(Exception):
    """The demonstration did not go as it should."""


class Workspace:
    """The scratch folder: a repository, the bare one that it pushes to, and DVC's remote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / "flights"
        self.origin = folder / "origin.git"
        self.storage = folder / "dvc-storage"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def call(self, *command: str, expected: int = 0) -> None:
        """Show a command and run it in the repository; raise DemoError when it ends with another code than `expected`."""
        print(f"\n\033[1m$ {shlex.join(command)}\033[0m" if sys.stdout.isatty() else f"\n$ {shlex.join(command)}")
        sys.stdout.flush()
        code = subprocess.run(command, cwd=self.repository, env=self.environment, check=False).returncode
        if code != expected:
            raise DemoError(f"`{shlex.join(command)}` ended with exit code {code}; {expected} was to be expected")
        if expected:
            print(f"(exit code {code}, as it should be)")

    def create(self) -> None:
        """Make the folder anew; raise DemoError when it holds something that no demonstration made."""
        if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / MARK).exists():
            raise DemoError(f"{self.folder}: is not empty, and not from a demonstration; name another folder")
        shutil.rmtree(self.folder, ignore_errors=True)
        skipped = shutil.ignore_patterns(
            "data",
            "demo.py",
            "service.py",
            "months.py",
            "year.py",
            "methods.py",
            "prepare.py",
            "README.md",
            "__pycache__",
            ".*-ci",
        )
        shutil.copytree(HERE, self.repository, ignore=skipped)
        (self.folder / MARK).touch()
        (self.repository / "data").mkdir()

    def add_month(self, month: int) -> None:
        """Put a month's flights into the repository's data folder."""
        name = f"flights-2013-{month:02}.parquet"
        shutil.copyfile(HERE / "data" / name, self.repository / "data" / name)

    def commit_data(self, message: str) -> None:
        """Version the data with DVC, commit, and push both."""
        self.call("dvc", "add", "--quiet", "data")
        self.call("git", "add", ".")
        self.call("git", "commit", "--quiet", "--message", message)
        self.call("dvc", "push", "--quiet")
        self.call("git", "push", "--quiet", "origin", "main")

    def address(self) -> str:
        """Return where the service answers, from the newest run's record."""
        newest = max((self.repository / ".model-ci" / "runs").iterdir())
        record = json.loads((newest / "run.json").read_text(encoding="utf-8"))
        return str(record["stages"]["deploy"]["address"])

    def aliases(self) -> dict[str, str]:
        """Return the registry's aliases with the version that each points to; raise DemoError when there is no registry."""
        file = self.repository / ".model-ci" / "store" / "mlflow.db"
        try:
            with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
                rows = database.execute("SELECT alias, version FROM registered_model_aliases WHERE name = ?", (MODEL,))
                return {alias: str(version) for alias, version in sorted(rows)}
        except sqlite3.Error as error:
            raise DemoError(f"{file}: holds no registry: {error}") from None

    def expect_aliases(self, **expected: str) -> None:
        """Show the aliases; raise DemoError when one of `expected` points elsewhere."""
        found = self.aliases()
        print("\nIn the registry: " + ", ".join(f"{alias} = version {version}" for alias, version in found.items()))
        if {alias: found.get(alias) for alias in expected} != expected:
            raise DemoError(f"the registry's aliases are {found}; {expected} were to be expected")


def main() -> int:
    """Tell the story; return 1 when it takes another turn."""
    parser = argparse.ArgumentParser(description="Run the demonstration.")
    parser.add_argument("--folder", type=Path, default=HERE.parent / "demo", help="scratch folder, made anew")
    workspace = Workspace(parser.parse_args().folder.resolve())
    started = time.monotonic()
    without = service.missing()
    try:
        tell(workspace, serves=without is None)
    except DemoError as failure:
        print(f"\ndemo: {failure}", file=sys.stderr)
        return 1
    finally:
        if without is None and workspace.repository.is_dir():
            workspace.call("model-ci", "remove", "--environment=staging", *settings())
    if without:
        print(f"\nThe story ends with the registered model, without a service: {without}.")
    where_to_look(workspace)
    print(f"\nThe demonstration took {time.monotonic() - started:.0f} s.")
    return 0


def tell(workspace: Workspace, *, serves: bool) -> None:
    """Run the chapters in order, those of the service only where there can be one."""
    with chapter("A repository with three months of flights, versioned with DVC"):
        workspace.create()
        prepare(workspace)
    with chapter("January to March: the first model is judged by the absolute gates and becomes the champion"):
        workspace.call("model-ci", "run")
        workspace.expect_aliases(champion="1")
    if serves:
        with chapter("The champion becomes an image, is tried, and serves in staging: two replicas behind HAProxy"):
            workspace.call("model-ci", "run", "--stages=build-image,deploy,record", *settings())
    with chapter("April arrives: the model trained on it beats the champion on the same flights and takes its place"):
        workspace.add_month(4)
        workspace.commit_data("Add April")
        workspace.call("model-ci", "run")
        workspace.expect_aliases(champion="2", previous="1")
    if serves:
        with chapter("April's model serves beside it, with a tenth of the requests"):
            workspace.call(
                "model-ci", "run", "--stages=build-image,deploy,record", "--set=deploy.weight=10", *settings()
            )
        with chapter(f"{FLIGHTS:,} flights of May ask, and one traveller wants to know why"):
            ask(workspace)
    with chapter("Somebody tries two trees instead of a hundred: refused, and the champion stays"):
        workspace.call("model-ci", "run", "--set", "train.parameters.max_iter=2", expected=3)
        workspace.expect_aliases(champion="2", previous="1")
    with chapter("Every run is recorded, the refused one too: the branch that was pushed to origin"):
        workspace.call("git", f"--git-dir={workspace.origin}", "log", "--format=%h  %s", RECORDS)


def settings() -> list[str]:
    """Return what the service is made of, as options."""
    return [f"--set={path}={value}" for path, value in service.SETTINGS.items()]


def ask(workspace: Workspace) -> None:
    """Send flights, show who answered and what the service counted, and explain one; raise DemoError when one failed."""
    asked = service.send(workspace.address(), HERE / "data" / "flights-2013-05.parquet", FLIGHTS)
    if asked.failed or sum(asked.variants.values()) != FLIGHTS or len(asked.variants) != 2:
        raise DemoError(f"{asked.failed} requests failed, and {asked.variants} answered; both variants were to answer")
    print("\nAnswered by: " + ", ".join(f"{name} {many}" for name, many in sorted(asked.variants.items())))
    print("\nOne replica's metrics:", *asked.metrics, sep="\n  ")
    flight, (late,) = asked.first["flight"], [chances[1] for chances in asked.first["probabilities"]]
    print(
        f"\nThe first: {flight['carrier']} from {flight['origin']} to {flight['dest']}, late with probability {late:.3f}"
    )
    workspace.call("model-ci", "explain", "--row=1")


def prepare(workspace: Workspace) -> None:
    """Turn the copied project into a git and DVC repository with a remote for each."""
    for month in (1, 2, 3):
        workspace.add_month(month)
    workspace.call("git", "init", "--quiet", "--initial-branch=main", ".")
    workspace.call("git", "config", "user.name", "Demo")
    workspace.call("git", "config", "user.email", "demo@example.com")
    workspace.call("git", "init", "--quiet", "--bare", "--initial-branch=main", str(workspace.origin))
    workspace.call("git", "remote", "add", "origin", str(workspace.origin))
    workspace.call("dvc", "init", "--quiet")
    workspace.call("dvc", "remote", "add", "--quiet", "--default", "storage", str(workspace.storage))
    workspace.commit_data("Start with January to March")


@contextmanager
def chapter(title: str) -> Iterator[None]:
    """Print a heading, and how long what follows took."""
    print(f"\n=== {title}", flush=True)
    started = time.monotonic()
    yield
    print(f"--- {time.monotonic() - started:.0f} s", flush=True)


def where_to_look(workspace: Workspace) -> None:
    """Print the places where the story left something."""
    last = max((workspace.repository / ".model-ci" / "runs").iterdir()).name
    print(
        f"""
=== Where to look

In {workspace.repository}
  .model-ci/runs/{last}/report.html
      why the last run was refused, as a page; one folder a run beside it
  .model-ci/runs/{last}/run.json
      everything known of the refused run: data, code, parameters, metrics, gates
  git --git-dir=../{workspace.origin.name} show {RECORDS}:runs/{last}/summary.md
      its summary on the records branch, where it was pushed
  model-ci ui
      the registry, in MLflow's own pages
  model-ci run --dry-run
      what would run now, and why"""
    )


if __name__ == "__main__":
    sys.exit(main())
