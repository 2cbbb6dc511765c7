"""One deployment at a time: a Lease that its holder renews, and that others may take when it has not been for a while."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from model_ci.errors import ServiceError
from model_ci.targets.kubernetes.api import ApiError, Cluster, Manifest
from model_ci.targets.kubernetes.names import Names

_VERSION: Final = "coordination.k8s.io/v1"
_HELD_S: Final = 120
_RENEWED_EVERY_S: Final = 20.0


@contextmanager
def held(cluster: Cluster, names: Names, owner: str) -> Iterator[None]:
    """Hold the environment's Lease; raise ServiceError with who holds it and since when."""
    lease = _take(cluster, names, owner)
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(cluster, lease, over), name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()
        with suppress(ServiceError):  # it runs out by itself
            existing = cluster.get(_VERSION, "Lease", lease["metadata"]["name"])
            if (
                existing
                and existing["metadata"]["uid"] == lease["metadata"]["uid"]
                and _holder(existing) == _holder(lease)
            ):
                cluster.delete(existing, version=existing["metadata"]["resourceVersion"])


def _take(cluster: Cluster, names: Names, owner: str) -> Manifest:
    now = datetime.now(UTC)
    spec = {
        "holderIdentity": owner,
        "leaseDurationSeconds": _HELD_S,
        "acquireTime": _text(now),
        "renewTime": _text(now),
    }
    lease: Manifest = {
        "apiVersion": _VERSION, "kind": "Lease", "metadata": names.metadata(f"{names.base}-lock"), "spec": spec
    }  # fmt: skip
    try:
        return cluster.create(lease)
    except ApiError as error:
        if error.status != 409:
            raise
    existing = cluster.get(_VERSION, "Lease", lease["metadata"]["name"])
    if existing and not _over(existing, now):
        raise ServiceError(_held_by(existing, names))
    if existing:
        lease["metadata"]["resourceVersion"] = existing["metadata"]["resourceVersion"]
    try:  # of two that find it over, one comes first
        return cluster.replace(lease) if existing else cluster.create(lease)
    except ApiError as error:
        if error.status != 409:
            raise
        raise ServiceError(
            f"kubernetes: Lease {lease['metadata']['name']} was just taken; wait until that is done"
        ) from None


def _keep(cluster: Cluster, lease: Manifest, over: threading.Event) -> None:
    """Renew until it is over; a Lease that somebody took, or that cannot be renewed, is left alone."""
    while not over.wait(_RENEWED_EVERY_S):
        lease["spec"]["renewTime"] = _text(datetime.now(UTC))
        try:
            lease["metadata"]["resourceVersion"] = cluster.replace(lease)["metadata"]["resourceVersion"]
        except ApiError as error:
            if error.status in (404, 409):
                return


def _over(lease: Manifest, now: datetime) -> bool:
    renewed = datetime.fromisoformat(lease["spec"]["renewTime"])
    return now - renewed > timedelta(seconds=lease["spec"]["leaseDurationSeconds"])


def _holder(lease: Manifest) -> tuple[str, str]:
    return lease["spec"]["holderIdentity"], lease["spec"]["acquireTime"]


def _held_by(lease: Manifest, names: Names) -> str:
    who, since = _holder(lease)
    name = lease["metadata"]["name"]
    return (
        f"kubernetes: {who} has been deploying here since {since}; wait until that is done. When it is certain that "
        f"nobody is, remove the lock with `kubectl -n {names.namespace} delete lease {name}`"
    )


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
