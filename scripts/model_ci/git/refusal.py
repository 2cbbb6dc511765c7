"""What git and its hosts say when they refuse, in words that tell what to do."""

import re
from typing import Final

_RACES: Final = (
    r"\[rejected\]|\((fetch first|non-fast-forward|stale info|failed to update ref|incorrect old value provided"
    r"|reference already exists|failed to lock)\)|cannot lock ref|but expected|shallow file has changed"
)
_GITHUB: Final = "on GitHub give the job 'permissions: contents: write' (a pull request from a fork never gets it)"
_GITLAB: Final = (
    "on GitLab push with a project access token that may write the repository, "
    "or allow 'Git push requests' for CI_JOB_TOKEN in the project's CI/CD settings"
)
# First match wins: the special before the general.
_REFUSALS: Final = (
    (
        r"GH001|file size limit|larger than the maximum allowed|exceeds .*limit",
        "a file is larger than the host takes; use an MLflow server (MLFLOW_TRACKING_URI), or make the model smaller",
    ),
    (
        r"GH006|[Pp]rotected branch|protected branches on this project|not allowed to (force )?push code to a protected",
        "the branch is protected; exclude it from the protection, let the job's identity push to it, or name another branch in model-ci.yaml",
    ),
    (
        r"GH013|[Rr]epository rule|[Pp]ush rule|GL-HOOK-ERR|does not follow the pattern|is not a member of team|You cannot push commits for",
        "a rule of the repository refuses the push; exempt this branch from the rule, or name another branch in model-ci.yaml",
    ),
    (
        r"error: 403|[Pp]ermission to .* denied|Write access to repository not granted|not allowed to (push|upload|download) code|[Aa]ccess denied|not permitted|insufficient permission|DENY|[Pp]ermission denied(?! \(publickey)",
        "permission denied; {hint}",
    ),
    (
        r"error: 401|Authentication failed|could not read (Username|Password)|Invalid username or (password|token)|Permission denied \(publickey|Host key verification failed|terminal prompts disabled",
        "the remote does not accept the credentials, or there are none; give git a token or key that may push: {hint}",
    ),
    (
        r"refusing to update checked out branch",
        "the branch is checked out here; check out another one",
    ),
    (r"not a git repository", "not inside a git repository; run `git init` first"),
    (
        r"dubious ownership",
        "the folder belongs to another user; run `git config --global --add safe.directory '*'` first",
    ),
    (r"command not found", "git is not installed; install git 2.31 or newer"),
    (r"invalid refspec|not a valid (ref|branch)|check-ref-format", "that is no name for a branch; name another one"),
    (
        r"Could not resolve host|Connection (refused|timed out|reset)|Failed to connect|Network is unreachable|timed out|error: 5\d\d|early EOF|hung up unexpectedly$",
        "the remote cannot be reached; try again later, or check its address",
    ),
    (
        r"does not appear to be a git repository|[Rr]epository .*not found|error: 404|No such file or directory|unable to access|Could not read from remote",
        "there is no such repository, or it cannot be read; check the remote's address and the credentials",
    ),
    (
        r"hook declined|remote rejected",
        "the remote's hooks refuse the push; ask whoever runs it to let this branch pass",
    ),
)


def explain(complaint: str, host: str = "") -> str:
    """Translate git's complaint into what is wrong and what to do; keep what the other side complaint at the end."""
    hint = {"github": _GITHUB, "gitlab": _GITLAB}.get(_platform(complaint, host), f"{_GITHUB}; {_GITLAB}")
    for pattern, meaning in _REFUSALS:
        if re.search(pattern, complaint, re.MULTILINE):
            return meaning.format(hint=hint) + _quoted(complaint)
    return f"git failed; see what it says{_quoted(complaint)}"


def lost_race(complaint: str) -> bool:
    """Tell whether a push failed only because the branch had moved meanwhile."""
    return "hook declined" not in complaint and re.search(_RACES, complaint) is not None


def without_credentials(text: str) -> str:
    """Remove user names, passwords and tokens from addresses."""
    return re.sub(r"(\w+://)[^/@\s]+@", r"\1", text)


def _platform(complaint: str, host: str) -> str:
    text = f"{host} {complaint}".lower()
    return "github" if "github" in text or "gh00" in text else "gitlab" if "gitlab" in text else ""


def _quoted(complaint: str) -> str:
    """Give the telling lines of the complaint: the remote's own words, or else git's."""
    lines = [line.strip() for line in without_credentials(complaint).splitlines() if line.strip()]
    remote = [line.removeprefix("remote:").strip() for line in lines if line.startswith("remote:")]
    telling = [line for line in remote if line.strip("= ")] or [
        line for line in lines if not line.startswith(("To ", "hint:", "Done"))
    ]
    return f" (it said: {' / '.join(telling[:4])})" if telling else ""
