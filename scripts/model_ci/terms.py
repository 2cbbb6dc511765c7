"""The closed sets of words that stand in the configuration and in a run's record."""

from enum import StrEnum


class Verdict(StrEnum):
    """The verdict of a stage, or of a run. `done`: a stage that does not judge; `not judged`: a run before its evaluation."""

    DONE = "done"
    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "not judged"


class State(StrEnum):
    """What became of a condition: of a gate, of a slice of it, or of a limit of monitor.

    `no champion`: there is nothing to compare with on a first run. `too small`: a slice with too few rows. `measured`: a slice
    whose value counts only beside those of the others. `missing`: no source has the figure. `too few`: a span of time
    with too few known outcomes.
    """

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NO_CHAMPION = "no champion"
    TOO_SMALL = "too small"
    MEASURED = "measured"
    MISSING = "missing"
    TOO_FEW = "too few"


class Comparison(StrEnum):
    """What the bounds of the difference to the champion show."""

    BETTER = "better"
    WITHIN_TOLERANCE = "within tolerance"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"


class Fairness(StrEnum):
    """The metrics of fairness between slices."""

    DEMOGRAPHIC_PARITY = "demographic_parity"
    EQUALIZED_ODDS = "equalized_odds"


class StoreKind(StrEnum):
    """Where the registry is; `auto` chooses by the environment."""

    AUTO = "auto"
    SERVER = "server"
    FILE = "file"
    BRANCH = "branch"


class TargetKind(StrEnum):
    """What an environment runs on."""

    DOCKER = "docker"
    KUBERNETES = "kubernetes"
    SAGEMAKER = "sagemaker"


class WindowKind(StrEnum):
    """Which rows before the holdout are learnt from."""

    ALL = "all"
    FIXED = "fixed"
    EXPANDING = "expanding"
    DYNAMIC = "dynamic"


class HoldoutKind(StrEnum):
    """What decides whether a row is held out."""

    TIME = "time"
    RANDOM = "random"
    GROUP = "group"
    FILE = "file"


class Trigger(StrEnum):
    """What causes a retraining."""

    FIRST = "first"
    SCHEDULE = "schedule"
    DRIFT = "drift"
    QUALITY = "quality"
    DATA = "data"
    DEMAND = "demand"


class Evidence(StrEnum):
    """What the requests of a test show of its metric, or of a guard rail."""

    PASSED = "passed"
    VIOLATED = "violated"
    UNDECIDED = "undecided"
