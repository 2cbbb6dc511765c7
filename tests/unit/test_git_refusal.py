"""Refusals: what git and its hosts say becomes what to do."""

import pytest

from model_ci.git.refusal import explain, lost_race, without_credentials


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "remote: Permission to o/r.git denied to github-actions[bot].\nfatal: unable to access 'https://github.com/o/r/': The requested URL returned error: 403",
            "permissions: contents: write",
        ),
        ("remote: Write access to repository not granted.\nfatal: unable to access: error: 403", "contents: write"),
        (
            "remote: You are not allowed to upload code.\nfatal: unable to access 'https://gitlab.com/g/p.git/': The requested URL returned error: 403",
            "CI_JOB_TOKEN",
        ),
        ("remote: HTTP Basic: Access denied.\nfatal: Authentication failed for 'https://gitlab.com/g/p.git/'", "token"),
        (
            "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            "credentials",
        ),
        ("fatal: could not read Username for 'https://github.com': terminal prompts disabled", "credentials"),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", "cannot be reached"),
        ("ssh: connect to host x port 22: Connection refused\nfatal: Could not read from remote", "cannot be reached"),
        ("fatal: repository 'https://github.com/o/r/' not found", "no such repository"),
        ("fatal: detected dubious ownership in repository at '/x'", "safe.directory"),
        ("fatal: something nobody has seen", "something nobody has seen"),
    ],
)
def test_translates_what_git_says(said: str, expected: str) -> None:
    assert expected in explain(said)


def test_a_refusal_is_no_lost_race() -> None:
    assert lost_race("!\trefs/heads/a:refs/heads/a\t[rejected] (fetch first)")
    assert lost_race("!\tx:y\t[remote rejected] (failed to update ref)")
    assert not lost_race("!\tx:y\t[remote rejected] (pre-receive hook declined)")
    assert not lost_race("!\tx:y\t[remote rejected] (protected branch hook declined)")


def test_addresses_lose_their_credentials() -> None:
    assert without_credentials("https://a:b@host/x and ssh://git@host/y") == "https://host/x and ssh://host/y"
