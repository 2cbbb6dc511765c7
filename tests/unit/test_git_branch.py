"""git: branches are written beside the checkout, which stays as it is."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from model_ci.errors import ConfigError, ServiceError
from model_ci.git import Branch, Commit, withhold_tokens

RECORDS = "model-ci/records"


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    folder = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", folder], check=True)
    return folder


@pytest.fixture
def clone(bare: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", bare, folder], check=True, capture_output=True)
    (folder / "code.py").write_text("one\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Begin")
    git(folder, "push", "--quiet", "origin", "HEAD")
    return folder


def records(root: Path) -> Branch:
    return Branch(root=root, name=RECORDS, remote="origin")


def everything_in(folder: Path) -> dict[str, bytes]:
    """All that a repository is: files, index, refs, objects, locks."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def hook(bare: Path, says: str, name: str = "pre-receive") -> None:
    lines = "\n".join(f"echo {line!r} >&2" for line in says.splitlines())
    file = bare / "hooks" / name
    file.write_text(f"#!/bin/sh\n{lines}\nexit 1\n")
    file.chmod(0o755)


def test_appends_without_touching_the_checkout(clone: Path, bare: Path) -> None:
    (clone / "code.py").write_text("staged\n")
    git(clone, "add", ".")
    (clone / "code.py").write_text("changed\n")
    (clone / "model-ci").mkdir()
    (clone / "model-ci" / "records").write_text("a file named like the branch\n")
    before = everything_in(clone)

    first = records(clone).append({"README.md": b"what\n", "runs/1/run.json": b"{}\n"}, "Record run 1")
    second = records(clone).append({"README.md": b"what\n", "runs/2/run.json": b"{}\n"}, "Record run 2")

    assert everything_in(clone) == before
    assert first.pushed and second.pushed and first.changed and second.changed
    assert git(bare, "rev-list", RECORDS).split() == [second.sha, first.sha]
    assert git(bare, "ls-tree", "-r", "--name-only", RECORDS).split() == [
        "README.md",
        "runs/1/run.json",
        "runs/2/run.json",
    ]


def test_appends_nothing_that_is_there(clone: Path, bare: Path) -> None:
    files = {"runs/1/run.json": b"{}\n"}
    first = records(clone).append(files, "Record run 1")

    assert records(clone).append(files, "Record run 1") == Commit(sha=first.sha, changed=False, pushed=True)
    assert records(clone).append({"runs/1/run.json": b"[]\n"}, "Record run 1").changed


def test_tells_the_platforms_to_start_nothing(clone: Path, bare: Path) -> None:
    git(bare, "config", "receive.advertisePushOptions", "true")
    seen = bare / "options"
    file = bare / "hooks" / "pre-receive"
    file.write_text(f'#!/bin/sh\nprintf %s "$GIT_PUSH_OPTION_0" > "{seen}"\n')
    file.chmod(0o755)

    records(clone).append({"a": b"1"}, "Add")

    assert git(bare, "log", "-1", "--format=%B", RECORDS).endswith("[skip ci]")
    assert seen.read_text() == "ci.skip"


def test_works_in_a_shallow_clone_on_a_detached_head(clone: Path, bare: Path, tmp_path: Path) -> None:
    records(clone).append({"a": b"1"}, "Add a")
    records(clone).append({"b": b"1"}, "Add b")
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Go on")
    git(clone, "push", "--quiet", "origin", "HEAD")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", bare.as_uri(), shallow], check=True)
    git(shallow, "checkout", "--quiet", "--detach")
    before = everything_in(shallow)

    records(shallow).append({"c": b"1"}, "Add c")

    assert everything_in(shallow) == before
    assert git(bare, "rev-list", "--count", RECORDS) == "3"


def test_commits_as_the_configured_person(clone: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIT_COMMITTER_NAME")
    monkeypatch.delenv("GIT_COMMITTER_EMAIL")
    records(clone).append({"a": b"1"}, "Add a")
    git(clone, "config", "user.name", "A <strange> name")
    git(clone, "config", "user.email", "who@example.invalid")
    records(clone).append({"b": b"1"}, "Add b")

    assert git(bare, "log", "--format=%cn <%ce>", RECORDS).splitlines() == [
        "A strange name <who@example.invalid>",
        "model-ci <model-ci@localhost>",
    ]


def test_uses_the_checkouts_way_to_the_remote(clone: Path, bare: Path) -> None:
    git(clone, "config", f"url.{bare}.insteadOf", "somewhere:else")
    git(clone, "remote", "set-url", "origin", "somewhere:else")

    assert records(clone).append({"a": b"1"}, "Add").pushed


def test_finds_a_remote_by_a_relative_address(clone: Path, bare: Path) -> None:
    git(clone, "remote", "set-url", "origin", "../remote.git")
    (clone / "part").mkdir()

    assert records(clone / "part").append({"a": b"1"}, "Add").pushed


def test_without_a_remote_its_own_branch_takes_the_commits(clone: Path) -> None:
    git(clone, "remote", "remove", "origin")
    status = git(clone, "status")

    first = records(clone).append({"a": b"1"}, "Add a")
    second = records(clone).append({"b": b"1"}, "Add b")

    assert not first.pushed and not second.pushed
    assert git(clone, "rev-list", RECORDS).split() == [second.sha, first.sha]
    assert git(clone, "status") == status


def test_without_a_remote_the_branch_must_not_be_checked_out(clone: Path) -> None:
    git(clone, "remote", "remove", "origin")
    git(clone, "checkout", "--quiet", "--orphan", RECORDS)
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Begin")

    with pytest.raises(ServiceError, match="checked out here"):
        records(clone).append({"a": b"1"}, "Add")


def test_names_the_remotes_there_are(clone: Path) -> None:
    git(clone, "remote", "rename", "origin", "upstream")

    with pytest.raises(ConfigError, match="no remote 'origin'; name one of upstream"):
        records(clone).append({"a": b"1"}, "Add")


def test_says_that_there_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not inside a git repository; run `git init`"):
        records(tmp_path).append({"a": b"1"}, "Add")


def test_refuses_what_is_no_name_for_a_branch(clone: Path) -> None:
    with pytest.raises(ServiceError, match="no name for a branch"):
        Branch(root=clone, name="a..b", remote="origin").append({"a": b"1"}, "Add")


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (
            "error: GH006: Protected branch update failed for refs/heads/model-ci/records.\nerror: Changes must be made through a pull request.",
            "the branch is protected",
        ),
        (
            "GitLab: You are not allowed to push code to protected branches on this project.",
            "the branch is protected",
        ),
        ("error: GH013: Repository rule violations found for refs/heads/model-ci/records.", "a rule of the repository"),
        ("GitLab: Commit message does not follow the pattern 'JIRA'", "a rule of the repository"),
        ("GitLab: You are not allowed to push code to this project.", "project access token"),
        ("GL-HOOK-ERR: Author 'a@b' is not a member of team", "a rule of the repository"),
        ("error: GH001: Large files detected.", "MLflow server"),
        ("our own policy says no", "our own policy says no"),
    ],
)
def test_translates_what_a_remote_refuses_with(says: str, expected: str, clone: Path, bare: Path) -> None:
    hook(bare, says)
    before = everything_in(clone)

    with pytest.raises(ServiceError) as refused:
        records(clone).append({"a": b"1"}, "Add")

    assert expected in str(refused.value)
    assert "branch 'model-ci/records' of remote 'origin': " in str(refused.value)
    assert everything_in(clone) == before
    (bare / "hooks" / "pre-receive").unlink()
    assert records(clone).append({"a": b"1"}, "Add").pushed


def test_an_update_hook_refuses_as_well(clone: Path, bare: Path) -> None:
    hook(bare, "GitLab: You are not allowed to push code to protected branches on this project.", name="update")

    with pytest.raises(ServiceError, match="protected"):
        records(clone).append({"a": b"1"}, "Add")


def test_a_missing_remote_is_said(clone: Path, tmp_path: Path) -> None:
    git(clone, "remote", "set-url", "origin", str(tmp_path / "gone.git"))

    for act in (records(clone).tip, records(clone).message, lambda: records(clone).append({"a": b"1"}, "Add")):
        with pytest.raises(ServiceError, match="no such repository"):
            act()


def test_a_remote_that_is_away_is_said(clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", "http://127.0.0.1:9/project.git")

    with pytest.raises(ServiceError, match="cannot be reached"):
        records(clone).append({"a": b"1"}, "Add")


def test_keeps_credentials_to_itself(clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", "http://me:secret@127.0.0.1:9/project.git")

    with pytest.raises(ServiceError) as refused:
        records(clone).append({"a": b"1"}, "Add")

    assert "secret" not in str(refused.value)


def test_replaces_a_branch_only_as_it_was_seen(clone: Path, bare: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    (folder / "artifacts" / "a b").mkdir(parents=True)
    (folder / "artifacts" / "a b" / 'quo"ted\\näme').write_bytes(b"\r\n\x00\xff" * 100_000)
    (folder / ".gitattributes").write_text("* text eol=crlf\n")
    store = Branch(root=clone, name="model-ci/store", remote="origin")

    first = store.replace(folder, None, "Keep")
    assert first
    assert store.replace(folder, None, "Keep again") is None
    (folder / "new").write_bytes(b"")
    second = store.replace(folder, first, "Keep more")
    assert second
    assert store.replace(folder, first, "Keep else") is None

    assert git(bare, "rev-list", "model-ci/store") == second == store.tip()
    assert store.message() == (second, "Keep more\n\n[skip ci]\n\n")
    assert store.fetch(tmp_path / "copy") == second
    assert everything_in(tmp_path / "copy") == everything_in(folder)


def test_a_branch_that_is_not_there_is_none(clone: Path, tmp_path: Path) -> None:
    store = Branch(root=clone, name="model-ci/store", remote="origin")

    assert store.tip() is None
    assert store.message() is None
    assert store.fetch(tmp_path / "copy") is None


def test_of_many_who_replace_one_wins(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    store = Branch(root=clone, name="model-ci/store", remote="origin")
    expected = store.replace(tmp_path / "store", None, "Begin")
    won: list[str | None] = []
    threads = [
        threading.Thread(target=lambda i=i: won.append(store.replace(tmp_path / "store", expected, f"Keep {i}")))
        for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([sha for sha in won if sha]) == 1


def test_git_still_has_the_token_that_was_taken_out_of_the_environment(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = clone.parent / "seen.txt"
    helper = clone.parent / "ssh.sh"
    helper.write_text(f'#!/bin/sh\nprintf %s "$MODEL_CI_GIT_TOKEN" > {seen}\nexit 1\n')
    helper.chmod(0o755)
    git(clone, "remote", "set-url", "origin", "ssh://nowhere.invalid/a.git")
    monkeypatch.setenv("GIT_SSH_COMMAND", str(helper))
    monkeypatch.setenv("MODEL_CI_GIT_TOKEN", "secret")
    monkeypatch.setattr("model_ci.git.program._withheld", {})
    withhold_tokens()
    assert "MODEL_CI_GIT_TOKEN" not in os.environ
    with pytest.raises(ServiceError):
        records(clone).read("a")
    assert seen.read_text() == "secret"
