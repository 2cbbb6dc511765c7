"""Where a branch lives, and how the checkout reaches it."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.git.checkout import configuration, remotes
from model_ci.git.program import GitFailed, clean_environment, run
from model_ci.git.refusal import explain, without_credentials

_BORROWED: Final = (
    r"(http|https|credential|url|ssh|protocol|user)\..+|core\.(sshcommand|askpass|gitproxy)|"
    r"remote\..+\.(url|pushurl|proxy|proxyauthmethod|receivepack|uploadpack)|extensions\.objectformat"
)


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a branch lives: a remote, or the checkout's own repository when it has no remote at all."""

    name: str
    address: str  # what git push is given
    ref: str
    remote: bool
    folder: Path  # relative addresses count from here
    settings: Sequence[tuple[str, str, str]]

    @property
    def where(self) -> str:
        """Name it, for a message."""
        return f"branch '{self.ref.removeprefix('refs/heads/')}' of {self.name}"

    def explain(self, complaint: str) -> str:
        """Tell what git complained of, and what to do."""
        url = remotes(self.settings).get(self.address, "")
        return f"{self.where}: {explain(complaint, host=without_credentials(url))}"

    def identity(self) -> str:
        """Return who commits, as git writes it."""
        known = {key: value for _, key, value in self.settings}
        name = os.environ.get("GIT_COMMITTER_NAME") or known.get("user.name") or "model-ci"
        email = os.environ.get("GIT_COMMITTER_EMAIL") or known.get("user.email") or "model-ci@localhost"
        return re.sub(r"[<>\s]+", " ", name).strip() + " <" + re.sub(r"[<>\s]+", "", email) + ">"

    def environment(self) -> dict[str, str]:
        """Give the private repository the checkout's own way to the remote.

        Settings of the user and the machine are read by every git anyway; those of the checkout are not.
        """
        borrowed = [
            (key, value)
            for scope, key, value in self.settings
            if scope in ("local", "worktree", "command") and re.fullmatch(_BORROWED, key, re.IGNORECASE)
        ]
        everything = clean_environment()
        clean = {k: v for k, v in everything.items() if not k.startswith("GIT_CONFIG_") or k == "GIT_CONFIG_GLOBAL"}
        clean |= {k: v for k, v in os.environ.items() if k in ("GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")}
        if "GIT_SSH_COMMAND" not in clean and "core.sshcommand" not in {key for _, key, _ in self.settings}:
            clean["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes"
        clean["GIT_CONFIG_COUNT"] = str(len(borrowed))
        for i, (key, value) in enumerate(borrowed):
            clean |= {f"GIT_CONFIG_KEY_{i}": key, f"GIT_CONFIG_VALUE_{i}": value}
        return clean


def find(root: Path, branch: str, remote: str) -> Destination:
    """Find where a branch of that name lives; raise ConfigError outside a repository, and for a remote that there is not."""
    try:
        common = run("rev-parse", "--path-format=absolute", "--git-common-dir", at=root).decode().strip()
        folder = Path(run("rev-parse", "--show-toplevel", at=root).decode().strip())
        settings = configuration(root)
    except GitFailed as failed:
        raise ConfigError(f"{root}: {explain(failed.complaint)}") from None
    known = remotes(settings)
    if known and remote not in known:
        raise ConfigError(f"{root}: git has no remote '{remote}'; name one of {', '.join(known)}")
    return Destination(
        name=f"remote '{remote}'" if known else "this repository",
        address=remote if known else common,
        ref=f"refs/heads/{branch}",
        remote=bool(known),
        folder=folder,
        settings=settings,
    )
