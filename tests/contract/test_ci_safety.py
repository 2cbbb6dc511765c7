"""What is written into the YAML cannot be turned against the job that runs it."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.ci.lint_templates import interpolate
from tests.ci.yaml12 import load, load_all

from model_ci.stages import STAGES

ROOT = Path(__file__).parents[2]
ACTIONS = sorted(ROOT.glob("actions/*/action.yml"))
TEMPLATES = sorted(f for f in ROOT.glob("gitlab/*.gitlab-ci.yml") if not f.name.startswith("scheduled"))
COMPONENTS = sorted(f for f in ROOT.glob("templates/*.yml") if f.stem != "scheduled")
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
HOSTILE = [
    "a b",
    "$(touch x)",
    '"; touch x; "',
    "'; touch x; '",
    "`touch x`",
    "one=1\ntwo=2\n",
    "--force",
    "*",
    "\\",
    "ä\t",
]
STUB = '#!/bin/sh\nfor argument; do printf "%s\\0" "$argument"; done >>"$STUB_LOG"\n'


def by_name(file: Path) -> str:
    return "/".join(file.parts[-2:])


def steps(file: Path) -> list[dict[str, Any]]:
    document = load(file)
    if "runs" in document:
        return list(document["runs"]["steps"])
    return [step for job in document["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("file", [*ACTIONS, *WORKFLOWS], ids=by_name)
def test_no_expression_in_a_command(file: Path) -> None:
    assert [s["run"] for s in steps(file) if "${{" in s.get("run", "")] == []


@pytest.mark.parametrize("file", [*TEMPLATES, *COMPONENTS], ids=by_name)
def test_no_interpolation_in_a_script(file: Path) -> None:
    (job,) = load_all(file)[1].values()
    assert [line for line in job["script"] if "$[[" in line] == []
    given = {name: v for name, v in job["variables"].items() if name.startswith("INPUT_")}
    assert all(variable["expand"] is False for variable in given.values())


@pytest.mark.parametrize("file", [*ACTIONS, *WORKFLOWS], ids=by_name)
def test_what_is_used_is_fixed(file: Path) -> None:
    used = re.findall(r"^\s*-?\s*uses:\s*(.+)$", file.read_text(), re.MULTILINE)
    fixed = re.compile(r"[\w-]+/[\w.-]+(/[\w./-]+)?@[0-9a-f]{40} # v\d+(\.\d+)*")
    assert [u for u in used if not fixed.fullmatch(u) and not u.startswith("$/")] == []


def test_rights_are_given_job_by_job() -> None:
    for file in WORKFLOWS:
        workflow = load(file)
        assert workflow["permissions"] == {}
        assert all("permissions" in job for job in workflow["jobs"].values())
        assert all(s["with"]["persist-credentials"] is False for s in steps(file) if "checkout" in s.get("uses", ""))


def test_a_job_that_writes_is_never_cancelled_and_waits_for_its_turn() -> None:
    for file in WORKFLOWS:
        for name, job in load(file)["jobs"].items():
            if "write" in job["permissions"].values() and "concurrency" in job:
                assert job["concurrency"]["cancel-in-progress"] is False, (file.name, name)
                assert job["concurrency"]["queue"] == "max", (file.name, name)


@pytest.mark.parametrize("name", ["pull-request", "pipeline"])
@pytest.mark.parametrize("differs", ["working-directory", "config", "stages", "set", "python-version"])
def test_legs_of_a_matrix_do_not_wait_for_each_other(name: str, differs: str) -> None:
    group = load(ROOT / ".github" / "workflows" / "pipeline.yml")["jobs"][name]["concurrency"]["group"]
    assert f"${{{{ inputs.{differs} }}}}" in group


def test_deliveries_wait_for_each_other_by_model_and_environment_alone() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "deliver.yml")["jobs"]
    for environment, job in jobs.items():
        used = set(re.findall(r"inputs\.([\w-]+)", job["concurrency"]["group"]))
        assert used == {"working-directory", "config", environment}


def test_a_pull_request_gets_no_right_and_no_secret_to_write() -> None:
    job = load(ROOT / ".github" / "workflows" / "pipeline.yml")["jobs"]["pull-request"]
    assert job["permissions"] == {"contents": "read"}
    (run,) = [s for s in job["steps"] if s.get("id") == "run"]
    secrets = {m for value in run["env"].values() for m in re.findall(r"secrets\.(\w+)", value)}
    assert secrets == {
        "MLFLOW_TRACKING_URI", "MLFLOW_READ_USERNAME", "MLFLOW_READ_PASSWORD", "MLFLOW_READ_TOKEN",
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    }  # fmt: skip


def test_who_comments_may_do_nothing_else_and_runs_nothing_of_the_pull_request() -> None:
    (job,) = load(ROOT / ".github" / "workflows" / "comment.yml")["jobs"].values()
    assert job["permissions"] == {"actions": "read", "pull-requests": "write"}
    (step,) = job["steps"]
    assert step["uses"] == "$/actions/comment"
    bootstrap = load(ROOT / "actions" / "comment" / "action.yml")["runs"]["steps"][0]
    assert bootstrap["env"]["INPUT_REQUIREMENTS"] == "/dev/null"
    assert "secrets" not in (ROOT / ".github" / "workflows" / "comment.yml").read_text().partition("\nname:")[2]


def expected(name: str, value: str) -> list[str]:
    if name == "comment":
        return [name, f"--config={value}", f"--run={value}"]
    if name == "notify":
        return [name, f"--config={value}", f"--run={value}", f"--verdict={value}"]
    if name == "selftest":
        return [name, f"--config={value}", f"--set={value}", f"--run={value}"]
    own = {"deploy": ["environment", "weight"], "promote": ["to", "from", "version"], "rollback": ["environment"]}
    flags = ["config", *(["stages"] if name == "run" else []), "set", *own.get(name, []), "run", "reason", "on-verdict"]
    return [name, *(f"--{flag}={value}" for flag in flags)]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", [*STAGES, "run", "comment", "notify", "selftest"])
def test_an_action_passes_hostile_values_on_unchanged(name: str, value: str, tmp_path: Path) -> None:
    command = load(ROOT / "actions" / name / "action.yml")["runs"]["steps"][1]
    env = {key: value for key in command["env"] if key.startswith("INPUT_")}
    stub = install_stub(tmp_path, "model-ci")
    execute(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command["run"]],
        tmp_path,
        {**env, "MODEL_CI": str(stub)},
    )
    assert recorded(tmp_path) == expected(name, value)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", [*STAGES, "run", "comment", "notify", "selftest"])
def test_an_action_bootstraps_with_hostile_values(name: str, value: str, tmp_path: Path) -> None:
    step = load(ROOT / "actions" / name / "action.yml")["runs"]["steps"][0]
    work = tmp_path / "check out"  # the checkout's path is not ours to choose either
    for folder in ("scripts/model_ci", "schemas"):
        (work / folder).mkdir(parents=True)
        (work / folder / "file").touch()  # the folder's content only names the environment
    for file in ("scripts/bootstrap.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / file, work / file)
    (work / "actions" / name).mkdir(parents=True)
    (tmp_path / value).touch()
    install_stub(tmp_path, "uv")
    env = {key: value for key in step["env"] if key.startswith("INPUT_")}
    env |= {"GITHUB_ACTION_PATH": str(work / "actions" / name), "MODEL_CI_ENV_DIR": str(tmp_path / "environments")}
    execute(["bash", "-eo", "pipefail", "-c", step["run"]], tmp_path, env, may_fail=True)
    calls = recorded(tmp_path)
    assert calls[calls.index("--python") + 1] == value
    assert "INPUT_REQUIREMENTS" not in env or f"./{value}" in calls
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("file", TEMPLATES, ids=by_name)
def test_a_template_passes_hostile_values_on_unchanged(file: Path, value: str, tmp_path: Path) -> None:
    header, body = load_all(file)
    inputs = dict.fromkeys(header["spec"]["inputs"], value) | {"working-directory": "a b"}
    (job,) = interpolate(body, inputs).values()
    (tmp_path / "a b").mkdir()
    install_stub(tmp_path, "uvx")
    install_stub(tmp_path, "uv")
    env = {key: v["value"] for key, v in job["variables"].items() if key.startswith("INPUT_")}
    execute(["bash", "-eo", "pipefail", "-c", "\n".join(job["script"])], tmp_path, env)
    arguments = recorded(tmp_path)
    name = arguments[arguments.index("model-ci") + 1]
    assert name == ("run" if file.name.startswith("pipeline") else file.name.partition(".")[0])
    assert arguments[arguments.index("model-ci") + 1 :] == expected(name, value)
    assert arguments[arguments.index("--from") + 1] == value
    assert not list(tmp_path.rglob("x"))


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("file", COMPONENTS, ids=by_name)
def test_a_component_passes_hostile_values_on_unchanged(file: Path, value: str, tmp_path: Path) -> None:
    header, body = load_all(file)
    inputs = dict.fromkeys(header["spec"]["inputs"], value) | {"working-directory": "a b"}
    (job,) = interpolate(body, inputs).values()
    (tmp_path / "a b").mkdir()
    install_git_that_fetches_a_stub(tmp_path)
    env = {key: v["value"] for key, v in job["variables"].items() if key.startswith("INPUT_")}
    env |= {"CI_SERVER_URL": "https://gitlab.example.com", "MODEL_CI_COMMIT": "5" * 40, "TMPDIR": str(tmp_path)}
    execute(["bash", "-eo", "pipefail", "-c", "\n".join(job["script"])], tmp_path, env)
    name = "run" if file.stem == "pipeline" else file.stem
    arguments = recorded(tmp_path)
    assert arguments[arguments.index(name) :] == expected(name, value)
    fetched = arguments.index("fetch")
    assert arguments[fetched + 1 : fetched + 6] == [
        "--quiet", "--depth", "1", f"https://gitlab.example.com/{value}.git", "5" * 40,
    ]  # fmt: skip
    assert not list(tmp_path.rglob("x"))


def install_git_that_fetches_a_stub(folder: Path) -> None:
    """Put a git on PATH that writes its arguments down, and whose checkout holds a bootstrap that finds a stub."""
    tool = install_stub(folder, "model-ci")
    git = install_stub(folder, "git")
    bootstrap = f'mkdir -p "$2/scripts" && echo "echo {tool}" >"$2/scripts/bootstrap.sh"'
    git.write_text(f'{STUB}\n[ "$3" != checkout ] || {{ {bootstrap}; }}\n')


@pytest.mark.parametrize("job", ["github", "register", "record", "pipeline"])
def test_the_token_is_given_to_the_server_alone(job: str, tmp_path: Path) -> None:
    server = "https://github.com" if job == "github" else "https://gitlab.example.com"
    env = {**token_settings(job, server, tmp_path), "MODEL_CI_GIT_TOKEN": "secret"}
    assert "password=secret" in fill(server, env, tmp_path)
    assert "secret" not in fill("https://elsewhere.example.com", env, tmp_path)


def test_gitlab_pushes_by_the_token_of_the_job_without_another(tmp_path: Path) -> None:
    server = "https://gitlab.example.com"
    assert "password=job" in fill(server, token_settings("record", server, tmp_path), tmp_path)


def test_gitlab_takes_the_token_out_of_the_address(tmp_path: Path) -> None:
    env = token_settings("record", "https://gitlab.example.com", tmp_path)
    execute(["git", "init", "-q"], tmp_path, {})
    execute(["git", "remote", "add", "origin", "https://gitlab-ci-token:job@gitlab.example.com/a/b.git"], tmp_path, {})
    assert execute(["git", "ls-remote", "--get-url", "origin"], tmp_path, env) == "https://gitlab.example.com/a/b.git\n"


def token_settings(job: str, server: str, folder: Path) -> dict[str, str]:
    """Return the environment in which git runs in a job."""
    if job == "github":
        workflow = load(ROOT / ".github" / "workflows" / "pipeline.yml")
        (env,) = [s["env"] for s in workflow["jobs"]["pipeline"]["steps"] if s.get("id") == "run"]
        return {k: v.replace("${{ github.server_url }}", server) for k, v in env.items() if k.startswith("GIT_")}
    (template,) = load_all(ROOT / "gitlab" / f"{job}.gitlab-ci.yml")[1].values()
    exports = [line for line in template["script"] if line.startswith("export GIT_")]
    protocol, _, host = server.partition("://")
    known = {"CI_SERVER_URL": server, "CI_SERVER_PROTOCOL": protocol, "CI_SERVER_FQDN": host, "CI_JOB_TOKEN": "job"}
    printed = execute(["bash", "-ec", "\n".join([*exports, "env -0"])], folder, known)
    return dict(pair.split("=", 1) for pair in printed.split("\0") if pair.startswith(("GIT_", "CI_")))


def fill(server: str, env: dict[str, str], folder: Path) -> str:
    protocol, _, host = server.partition("://")
    command = ["git", "credential", "fill"]
    question = f"protocol={protocol}\nhost={host}\n\n"
    return execute(command, folder, {**env, "GIT_TERMINAL_PROMPT": "0"}, stdin=question, may_fail=True)


def install_stub(folder: Path, name: str) -> Path:
    """Put a program first on PATH that only writes down its arguments."""
    stub = folder / "stubs" / name
    stub.parent.mkdir(exist_ok=True)
    stub.write_text(STUB)
    stub.chmod(0o755)
    return stub


def recorded(folder: Path) -> list[str]:
    return (folder / "arguments").read_bytes().decode().split("\0")[:-1]


def execute(command: list[str], folder: Path, env: dict[str, str], *, stdin: str = "", may_fail: bool = False) -> str:
    env = {
        "PATH": f"{folder / 'stubs'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "STUB_LOG": str(folder / "arguments"),
        **env,
    }
    done = subprocess.run(command, cwd=folder, env=env, input=stdin, capture_output=True, text=True, check=False)
    assert may_fail or done.returncode == 0, done.stderr
    return done.stdout
