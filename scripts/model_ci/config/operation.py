"""The sections that watch a service, and what is written down."""

from collections.abc import Mapping, Sequence

from model_ci.config.model import Gate
from model_ci.frozen import dataclass
from model_ci.schema import default
from model_ci.terms import Trigger


@dataclass(frozen=True, kw_only=True)
class DriftWindows:  # noqa: D101 - the schema describes each section and key
    needed: int
    of: int
    every: str | None


@dataclass(frozen=True, kw_only=True)
class JointDrift:  # noqa: D101
    rows: int
    min_auc: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class CheckDrift:  # noqa: D101
    rows: str | None
    reference: str | None
    version: str
    environment: str | None
    rules: str
    numbers: str | None
    categories: str | None
    threshold: float | None
    thresholds: Mapping[str, float]
    nulls: float
    level: float
    min_rows: int
    inconclusive: str
    max_share: float
    fail_on: Sequence[str]
    prediction: str | None
    probability: str | None
    time_column: str | None
    since: str | None
    until: str | None
    last: str | None
    windows: DriftWindows
    seasonal: str | None
    joint: JointDrift
    allow: Sequence[str]
    engine: str
    dask_address: str | None
    evidently_report: bool
    report_rows: int


@dataclass(frozen=True, kw_only=True)
class GuardRail:  # noqa: D101
    metric: str
    better: str | None = None
    statistic: str = default("guard_rail", "statistic")
    limit: float | None = None
    margin: float | None = None


@dataclass(frozen=True, kw_only=True)
class CompareVariants:  # noqa: D101
    predictions: str | None
    outcomes: str | None
    control: str
    treatment: str
    since: str | None
    until: str | None
    unit: str
    share: float
    metric: str | None
    better: str | None
    min_gain: float
    guard_rails: Sequence[GuardRail]
    confidence: float
    mismatch_confidence: float
    min_units: int
    sharpest_at: int
    stop_after: int | str | None
    allow: Sequence[str]
    act: bool
    environment: str | None


@dataclass(frozen=True, kw_only=True)
class MonitorLimit:  # noqa: D101
    metric: str
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, kw_only=True)
class MonitorQuality:  # noqa: D101
    window: str
    windows: int
    breaches: int
    delay: str
    min_rows: int
    metrics: Sequence[str]
    gates: Sequence[Gate]
    version: str


@dataclass(frozen=True, kw_only=True)
class Monitor:  # noqa: D101
    endpoints: Sequence[str]
    gap_s: float
    prometheus: str | None
    selector: str
    cloudwatch: str | None
    region: str | None
    variant: str | None
    threads: int
    window: str
    windows: int
    breaches: int
    until: str | None
    limits: Sequence[MonitorLimit]
    predictions: str | None
    outcomes: str | None
    quality: MonitorQuality
    allow: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Retrain:  # noqa: D101
    on: Sequence[Trigger]
    every: str | None
    new_rows: int | None
    new_span: str | None
    cooldown: str
    budget: int
    per: str
    patience: int
    approval: bool
    interval: str | None
    missed: int
    until: str | None


@dataclass(frozen=True, kw_only=True)
class Record:  # noqa: D101
    branch: str
    remote: str
    required: bool
