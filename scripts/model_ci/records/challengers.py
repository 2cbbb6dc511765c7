"""Which challengers were judged on the same held-out rows before."""

import json
from collections.abc import Iterator
from pathlib import Path

from model_ci.git import Branch
from model_ci.run import RECORD, run_folders


def judged_on(identity: str, root: Path, branch: Branch | None) -> set[str]:
    """Return the fingerprint of each model that was judged on the holdout `identity`, here or on the records branch.

    Raises ServiceError or ConfigError when the branch cannot be read.
    """
    records = [*_local(identity, root), *(branch.search(identity, "runs") if branch else ())]
    return {fingerprint for content in records for fingerprint in _fingerprint(content, identity)}


def _local(identity: str, root: Path) -> Iterator[bytes]:
    for folder in run_folders(root):
        content = (folder / RECORD).read_bytes()
        if identity.encode() in content:
            yield content


def _fingerprint(content: bytes, identity: str) -> Iterator[str]:
    try:
        stages = json.loads(content)["stages"]
        if stages["evaluate"]["holdout"]["identity"] == identity:
            yield stages["train"]["fingerprint"]
    except (ValueError, KeyError, TypeError):
        return  # a record that no run of this version wrote
