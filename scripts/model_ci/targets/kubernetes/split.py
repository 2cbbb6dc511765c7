"""Weights by numbers of pods: a Service gives each pod an equal share of the connections."""

from collections.abc import Mapping

from model_ci.targets.deployment import Deployment


def counts(desired: Deployment, most: int) -> Mapping[str, int]:
    """Return how many pods each variant gets: as near to the weights as `most` pods in all allow, with as few as can be.

    A variant without weight keeps the replicas that it asks for; so does one that has all of it.
    """
    asked = {variant.name: variant.replicas for variant in desired.variants}
    takers = [variant for variant in desired.variants if variant.weight]
    if len(takers) < 2:
        return asked
    one, other = takers
    few = max(2, one.replicas + other.replicas)

    def miss(pods: tuple[int, int]) -> float:
        return abs(pods[0] / sum(pods) - one.weight / 100)

    pairs = ((first, total - first) for total in range(few, max(few, most) + 1) for first in range(1, total))
    best = min(pairs, key=lambda pods: (round(miss(pods), 9), sum(pods)))
    return {**asked, one.name: best[0], other.name: best[1]}


def shares(pods: Mapping[str, int]) -> Mapping[str, int]:
    """Return the weights in percent, summing to 100, that numbers of pods amount to."""
    total = sum(pods.values())
    if not total:
        return {}
    names = list(pods)
    shares = {name: round(100 * pods[name] / total) for name in names}
    shares[names[0]] += 100 - sum(shares.values())
    return shares
