"""A removal: all that serves in an environment is stopped, and that is written down."""

from model_ci import ci
from model_ci.config import Config
from model_ci.release import ledger
from model_ci.targets import Deployment, open_target, settings


def remove(config: Config, environment: str, reason: str | None) -> Deployment | None:
    """Stop and remove what serves, alone in the environment; return it, None when nothing did.

    First the service, then the ledger. Interrupted between, the same order writes what the ledger knew to serve.
    """
    where = ci.context()
    target = open_target(config, environment)
    with target.lock(where.run_url or where.person):
        entries = ledger.read(config, environment)
        serving = target.current()
        target.remove()
        served = serving or (entries[-1].deployment if entries else None)
        if served:
            approval = settings(config, environment).policy.approval
            ledger.append(config, ledger.new(
                "remove", environment, None, served, run_id=None, reason=reason, where=where, approval=approval,
            ))  # fmt: skip
    return serving
