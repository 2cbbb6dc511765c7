"""The user's checkout: which code it holds, its settings, and the remotes that it knows."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci.git.program import GitFailed, run
from model_ci.git.refusal import explain, without_credentials

if TYPE_CHECKING:
    from model_ci.record_types import RecordCode


_OURS: Final = ":(exclude,top,glob)**/.model-ci/**"


def describe(root: Path) -> "RecordCode":
    """Tell which code `root` holds; outside a repository every value is null and `problem` says why."""
    code: RecordCode = {
        "repository": None, "commit": None, "branch": None, "dirty": None, "diff_sha256": None, "problem": None,
    }  # fmt: skip
    try:
        status = run(
            "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal", "--", ":/", _OURS, at=root
        )
        diff = b""
        if re.search(rb"(^|\0)[12u] ", status):
            diff = run(
                "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--full-index", "--binary", "--", ":/", _OURS, at=root
            )
    except GitFailed as failed:
        return code | {"problem": f"{root}: {explain(failed.said)}"}
    lines = status.split(b"\0")
    head = {key: value for _, key, value in (line.decode().split(" ", 2) for line in lines if line.startswith(b"# "))}
    changes = [line for line in lines if line and not line.startswith(b"# ")]
    return code | {
        "repository": _address(root),
        "commit": None if head["branch.oid"] == "(initial)" else head["branch.oid"],
        "branch": None if head["branch.head"] == "(detached)" else head["branch.head"],
        "dirty": bool(changes),
        "diff_sha256": hashlib.sha256(b"\0".join([diff, *changes])).hexdigest() if changes else None,
    }


def _address(root: Path) -> str | None:
    """Return where the repository lives, without credentials: its origin, or else its first remote."""
    addresses = remotes(configuration(root))
    address = addresses.get("origin") or next(iter(addresses.values()), None)
    return without_credentials(address) if address else None


def configuration(root: Path) -> Sequence[tuple[str, str, str]]:
    """Return every setting as (scope, key, value), in order."""
    fields = run("config", "--list", "--show-scope", "--includes", "-z", at=root).decode(errors="replace").split("\0")
    pairs = zip(fields[::2], fields[1::2], strict=False)
    return [(scope, *_key_and_value(text)) for scope, text in pairs]


def _key_and_value(text: str) -> tuple[str, str]:
    key, newline, value = text.partition("\n")
    return key, value if newline else "true"


def remotes(settings: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Return the address of each remote by its name."""
    found: dict[str, str] = {}
    for _, key, value in settings:
        if key.startswith("remote.") and key.endswith(".url"):
            found.setdefault(key.removeprefix("remote.").removesuffix(".url"), value)
    return found
