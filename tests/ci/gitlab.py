"""GitLab pipelines, executed by gitlab-ci-local on this machine, without docker and without a network."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.ci import gitlab_log, process, repository

_HOST: Final = "gitlab.example.com"


@dataclass(frozen=True, kw_only=True)
class GitLab:
    """A GitLab of one project; `folder` holds everything of its runs, `projects` are what it may include."""

    folder: Path
    projects: Mapping[str, tuple[Path, Sequence[str]]] = field(default_factory=dict)  # path -> files, tags
    variables: Mapping[str, str] = field(default_factory=dict)  # in the environment of every job
    project: str = "acme/demo"

    def run(
        self, tree: Path, source: str = "push", branch: str = "main", *, plan: bool = False, timeout_s: float = 300
    ) -> gitlab_log.Outcome:
        """Execute the pipeline of the project whose files are in `tree`, or only plan it."""
        here = self.folder / f"gitlab-{len(list(self.folder.glob('gitlab-*')))}"
        home, clone, origin = here / "home", here / "clone", self.folder / "origin.git"
        home.mkdir(parents=True)
        shutil.copytree(tree, clone, symlinks=True, ignore=repository.IGNORED)
        self._serve(clone, home, origin, branch)
        variables = {**self.variables, "GIT_CONFIG_GLOBAL": str(home / "job.gitconfig"), **_predefined(source, branch)}
        command, env = _command(home, variables), process.environment(home, here)
        planned = process.run([*command, "--list-json"], env=env, cwd=clone, timeout_s=timeout_s)
        outcome = gitlab_log.Outcome(planned.returncode, origin, output=planned.stdout + planned.stderr)
        if planned.returncode == 0:
            listed = planned.stdout[re.search(r"^\[", planned.stdout, re.MULTILINE).start() :]  # type: ignore[union-attr]
            outcome.planned = {job["name"]: job["when"] for job in json.loads(listed)}
        if planned.returncode or plan or set(outcome.planned.values()) <= {"never"}:
            return outcome
        done = process.run([*command, "--no-json-schema-validation"], env=env, cwd=clone, timeout_s=timeout_s)
        outcome.exit, outcome.output = done.returncode, done.stdout + done.stderr
        gitlab_log.read(outcome, clone / ".gitlab-ci-local")
        return outcome

    def _serve(self, clone: Path, home: Path, origin: Path, branch: str) -> None:
        """Put every project behind its address; what is pushed to this one stays for the next run."""
        repository.create(clone, f"https://{_HOST}/{self.project}.git", branch)
        if not origin.exists():
            repository.serve(clone, origin)
        repository.git(clone, "push", "-q", "--force", str(origin), f"HEAD:refs/heads/{branch}")
        served = {path: self.folder / f"{path}.git" for path in self.projects}
        for path, (files, tags) in self.projects.items():
            if not served[path].exists():
                repository.publish(files, served[path], tags)
        # gitlab-ci-local itself asks with the port, and must see the address of the project as it is
        known = {f"https://{_HOST}{port}/{path}": bare for path, bare in served.items() for port in ("", ":443")}
        repository.redirect(home / ".gitconfig", known)
        repository.redirect(home / "job.gitconfig", {**known, f"https://{_HOST}/{self.project}": origin})


def _predefined(source: str, branch: str) -> dict[str, str]:
    variables = {
        "GITLAB_CI": "true",  # gitlab-ci-local says false
        "CI_PIPELINE_SOURCE": source,
        "CI_SERVER_HOST": _HOST,
        "CI_SERVER_FQDN": _HOST,
        "CI_SERVER_URL": f"https://{_HOST}",
        "CI_DEFAULT_BRANCH": "main",
        "CI_COMMIT_REF_NAME": branch,
    }
    if source == "merge_request_event":
        return variables | {
            "CI_MERGE_REQUEST_IID": "7",
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": branch,
        }
    return variables | {"CI_COMMIT_BRANCH": branch}


def _command(home: Path, variables: Mapping[str, str]) -> list[str]:
    command = [
        "gitlab-ci-local",
        *("--home", str(home), "--force-shell-executor", "--shell-isolation", "--no-artifacts-to-source"),
        *("--max-job-name-padding", "0", "--color=false", "--ignore-predefined-vars", ",".join(variables)),
    ]
    if "CI_COMMIT_BRANCH" not in variables:
        command += ["--unset-variable", "CI_COMMIT_BRANCH"]
    for name, value in variables.items():
        command += ["--variable", f"{name}={value}"]
    return command
