"""The sections that make a model: its data, its training, its judgement, its place in the registry."""

from collections.abc import Mapping, Sequence

from model_ci.config.conditions import CONDITIONS, Condition
from model_ci.frozen import dataclass
from model_ci.schema import default
from model_ci.terms import HoldoutKind, StoreKind, WindowKind
from model_ci.types import Settings


@dataclass(frozen=True, kw_only=True)
class Model:  # noqa: D101 - the schema describes each section and key
    name: str
    task: str
    positive: str | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Sample:  # noqa: D101
    rows: int | None
    by: str
    half_life: str | None
    max_distance: float | None


@dataclass(frozen=True, kw_only=True)
class Window:  # noqa: D101
    kind: WindowKind
    last: int | str | None
    start: str | None
    signal: str
    block: int | str | None
    confidence: float
    min_rows: int
    sample: Sample


@dataclass(frozen=True, kw_only=True)
class Holdout:  # noqa: D101
    by: HoldoutKind
    last: str | None
    share: float
    group: str | None
    path: str | None
    key: Sequence[str] | None
    seed: int
    gap: str | None
    stratify: bool


@dataclass(frozen=True, kw_only=True)
class Csv:  # noqa: D101
    separator: str
    decimal: str
    encoding: str
    date_format: str | None
    missing: Sequence[str]
    text: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Data:  # noqa: D101
    path: str
    target: str
    time_column: str | None
    features: Sequence[str] | None
    exclude: Sequence[str]
    csv: Csv
    until: str | None
    window: Window
    holdout: Holdout


@dataclass(frozen=True, kw_only=True)
class CheckData:  # noqa: D101
    contract: str
    min_rows: int
    leakage: float
    future: float
    overlap: float


@dataclass(frozen=True, kw_only=True)
class WarmStart:  # noqa: D101
    add: int | None


@dataclass(frozen=True, kw_only=True)
class Online:  # noqa: D101
    chunk_rows: int


@dataclass(frozen=True, kw_only=True)
class Train:  # noqa: D101
    entrypoint: str | None
    command: str | None
    mode: str
    fall_back: bool
    warm_start: WarmStart
    online: Online
    parameters: Settings
    seed: int
    threads: int
    timeout_s: float | None
    code: Sequence[str]
    env: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Gate:  # noqa: D101
    metric: str
    min: float | None = None
    max: float | None = None
    max_drop: float | None = None
    max_rise: float | None = None
    max_relative_drop: float | None = None
    max_relative_rise: float | None = None
    min_gain: float | None = None
    by: str | Sequence[str] | None = None
    bins: int = default("gate", "bins")
    min_rows: int = default("gate", "min_rows")
    max_gap: float | None = None

    @property
    def conditions(self) -> Sequence[Condition]:
        """The conditions that have a limit."""
        return [condition for condition in CONDITIONS.values() if self.limit(condition) is not None]

    def limit(self, condition: Condition) -> float | None:
        """Return the limit of a condition, None where it has none."""
        return getattr(self, condition.name)  # type: ignore[no-any-return]

    @property
    def compares(self) -> bool:
        """Whether a condition compares with the champion."""
        return any(condition.compares for condition in self.conditions)

    @property
    def columns(self) -> Sequence[str]:
        """The columns that slice the rows."""
        return (self.by,) if isinstance(self.by, str) else tuple(self.by or ())

    @property
    def sliced_by(self) -> str | None:
        """The same in words, None where all rows are judged together."""
        return " and ".join(self.columns) or None


@dataclass(frozen=True, kw_only=True)
class Uncertainty:  # noqa: D101
    resamples: int
    confidence: float
    seed: int
    block_column: str | None
    block_duration: str | None
    inconclusive: str
    reuse: str
    absolute: str


@dataclass(frozen=True, kw_only=True)
class Evaluate:  # noqa: D101
    metrics: Sequence[str]
    code: Sequence[str]
    min_rows: int
    too_good: float | None
    uncertainty: Uncertainty
    gates: Sequence[Gate]
    own_gates: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Explain:  # noqa: D101
    in_run: bool | None
    rows: int
    seed: int
    tolerance: float
    max_share: Mapping[str, float]
    max_shift: float | None


@dataclass(frozen=True, kw_only=True)
class Register:  # noqa: D101
    store: StoreKind
    branch: str
    remote: str
    promote: str
    max_file_mb: float
