"""The types of a run's record. `make records` writes them from schemas/run.schema.json: change the schema, not this file."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from model_ci.types import JSON


class RecordTool(TypedDict):
    """What wrote this."""

    name: str
    version: str


class RecordModel(TypedDict):
    """The model."""

    name: str
    task: str


class RecordTrigger(TypedDict):
    """What started the run."""

    event: str
    reason: str | None


class RecordCi(TypedDict):
    """The platform."""

    provider: str
    run_url: str | None
    actor: str | None
    branch: str | None


class RecordCode(TypedDict):
    """The version of the code."""

    repository: str | None
    commit: str | None
    branch: str | None
    dirty: bool | None
    diff_sha256: str | None
    problem: NotRequired[str | None]


class RecordEnvironment(TypedDict):
    """Where it ran."""

    python: str
    platform: str
    packages_sha256: str
    packages: NotRequired[Mapping[str, str]]


class RecordConfig(TypedDict):
    """The configuration, complete with defaults and overrides."""

    file: str
    folder: str
    values: Mapping[str, JSON]


class Section(TypedDict):
    """What every stage records."""

    verdict: str
    fingerprint: str
    inputs: Mapping[str, str]
    settings: Mapping[str, JSON] | None
    code_commit: str | None
    code_changes: NotRequired[Mapping[str, str | None] | None]
    modules: NotRequired[Mapping[str, str]]
    start: str
    end: str
    duration_s: float


class ReusableSection(Section):
    """A section that a later run may take over."""

    reused_from: NotRequired[str]


class File(TypedDict):
    """A file."""

    path: str
    bytes: int
    sha256: str


class DataDvc(TypedDict):
    """A file or folder that DVC tracks."""

    path: str
    md5: str
    matches: bool


class Data(TypedDict):
    """The data that was really read."""

    location: str
    format: str
    files: Sequence[File]
    sha256: str
    dvc: Sequence[DataDvc] | None
    rows: int
    window: NotRequired[Mapping[str, JSON]]
    until: NotRequired[str | float | None]
    holdout: NotRequired[Mapping[str, JSON]]
    boundary: NotRequired[str | float | None]
    train_rows: NotRequired[int]
    holdout_rows: NotRequired[int]
    unlabelled_rows: NotRequired[int]
    first: NotRequired[str | float | None]
    last: NotRequired[str | float | None]
    learnt_from: NotRequired[Mapping[str, JSON]]


class CheckDataContract(TypedDict):
    """The contract that the data was checked against."""

    path: str
    present: bool
    learnt: bool


class CheckDataCheck(TypedDict):
    """A check."""

    name: str
    passed: bool
    detail: str


class Finding(TypedDict):
    """A finding."""

    rule: str
    where: str
    what: str
    count: int | None
    examples: Sequence[JSON]
    level: str


class CheckDataResult(TypedDict):
    """The data and its contract. As the stage returns it."""

    data: Data
    contract: NotRequired[CheckDataContract]
    checks: Sequence[CheckDataCheck]
    findings: Sequence[Finding]


class CheckDataSection(CheckDataResult, ReusableSection):
    """The data and its contract."""


class Version(TypedDict):
    """A version in the registry; null where there is none."""

    version: str
    run_id: str


class TrainMethod(TypedDict):
    """From what the model began."""

    asked: str
    used: str
    why: str | None
    fall_back: bool
    champion: Version | None
    had: int | None
    added: int | None
    new_rows: int | None
    chunks: int | None
    prequential: Mapping[str, float | None] | None


class TrainModel(TypedDict):
    """The model's files."""

    folder: str
    flavor: str
    format: str | None
    signature: bool
    files: Mapping[str, str]
    size_mb: float
    features: Sequence[str]
    classes: Sequence[str | float | bool]
    probe_sha256: str


class TrainTrainingRows(TypedDict):
    """The filter by which the rows that the model learnt from are recognized later."""

    folder: str
    files: Mapping[str, str]
    columns: Sequence[str]
    rows: int
    layers: int
    false_positives: float


class Artifact(TypedDict):
    """A folder of the run."""

    folder: str
    files: Mapping[str, str]


class TrainResult(TypedDict):
    """The model. As the stage returns it."""

    method: TrainMethod
    store_state: str | None
    data: Data
    how: str
    parameters: Mapping[str, JSON]
    hyperparameters: Mapping[str, JSON]
    seed: int
    threads: int
    model: TrainModel
    training_rows: NotRequired[TrainTrainingRows]
    profile: NotRequired[Artifact]


class TrainSection(TrainResult, ReusableSection):
    """The model."""


class EvaluateHoldout(TypedDict):
    """Which rows were held out, and which of them neither model has learnt from."""

    identity: str
    rows: int
    challenger_learnt: int
    champion_learnt: int | None
    false_positives: float
    problem: str | None
    challengers: int | None
    uncounted: str | None
    confidence: float


class EvaluateChanged(TypedDict):
    """One difference; what one of the two does not have is null."""

    what: str
    champion: JSON
    challenger: JSON


class EvaluateUnchanged(TypedDict):
    """What of their making is the same, and what is not known of both; null where nothing was compared."""

    same: Sequence[str]
    unknown: Sequence[str]


class EvaluateChampion(TypedDict):
    """A version."""

    version: str
    run_id: str | None


class EvaluateTooGood(TypedDict):
    """How many pairs of rows the model puts in the right order, and from which share it fails; null where that is not limited, or cannot be measured."""

    share: float
    limit: float


class EvaluateComparison(TypedDict):
    """The drawing."""

    resamples: int
    confidence: float
    seed: int
    blocks: int | None


class EvaluateMetric(TypedDict):
    """A metric of both models."""

    challenger: float | None
    champion: float | None
    greater_is_better: bool | None
    problem: str | None


class Slice(TypedDict):
    """One slice, judged."""

    slice: str
    rows: int
    challenger: float | None
    champion: float | None
    difference: float | None
    interval: Sequence[float] | None
    comparison: str | None
    rows_needed: int | None
    state: str
    reason: str


class Gate(TypedDict):
    """One condition, judged."""

    metric: str
    condition: str
    limit: float | None
    challenger: float | None
    champion: float | None
    difference: float | None
    interval: Sequence[float] | None
    comparison: str | None
    rows_needed: int | None
    state: str
    reason: str
    by: str | None
    slice: str | None
    rows: int | None
    slices: Sequence[Slice]


class EvaluateResult(TypedDict):
    """The verdict. As the stage returns it."""

    why: str
    rows: int
    positive: str | float | bool | None
    dependence: str | None
    holdout: EvaluateHoldout
    changed: Sequence[EvaluateChanged] | None
    unchanged: EvaluateUnchanged | None
    champion: EvaluateChampion | None
    too_good: EvaluateTooGood | None
    comparison: EvaluateComparison | None
    metrics: Mapping[str, EvaluateMetric]
    gates: Sequence[Gate]
    quality: NotRequired[Artifact]
    store_state: str | None


class EvaluateSection(EvaluateResult, ReusableSection):
    """The verdict."""


class ExplainAdditivity(TypedDict):
    """Whether the attributions and the base add up to the model's own output."""

    error: float | None
    largest_output: float | None
    tolerance: float
    holds: bool


class ColumnShare(TypedDict):
    """A column."""

    name: str
    share: float | None
    mean_abs: float | None


class ExplainChampion(TypedDict):
    """The version compared with, explained in the same way on the same rows; null without one."""

    version: str
    run_id: str | None
    problem: str | None
    explainer: str | None
    scale: str | None
    rows: int | None
    columns: Sequence[ColumnShare] | None


class ExplainChange(TypedDict):
    """A column."""

    name: str
    share: float
    champion_share: float
    shift: float
    rank: int | None
    champion_rank: int | None


class ExplainGate(TypedDict):
    """A gate."""

    condition: str
    column: str | None
    limit: float
    value: float | None
    state: str
    reason: str | None


class ExplainResult(TypedDict):
    """What the model looks at. As the stage returns it."""

    why: str
    explainer: str
    note: str | None
    scale: str
    target_class: str | None
    rows: int
    background: int
    permutations: int
    base: Sequence[float | None]
    additivity: ExplainAdditivity
    columns: Sequence[ColumnShare]
    champion: ExplainChampion | None
    changes: Sequence[ExplainChange] | None
    new_top: str | None
    gates: Sequence[ExplainGate]
    store_state: str | None
    folder: str
    files: Mapping[str, str]


class ExplainSection(ExplainResult, ReusableSection):
    """What the model looks at."""


class RegisterResult(TypedDict):
    """The model in the registry. As the stage returns it."""

    store: str
    name: str
    version: str
    created: bool
    promoted: bool
    champion: str | None
    previous: str | None
    rejudged: Mapping[str, JSON] | None
    store_state: str | None


class RegisterSection(RegisterResult, ReusableSection):
    """The model in the registry."""


class BuildImageBase(TypedDict):
    """The image it stands on."""

    reference: str
    digest: str
    python: str
    architecture: str


class BuildImageEngine(TypedDict):
    """What runs the model."""

    name: str
    why: str


class BuildImageLayer(TypedDict):
    """A layer."""

    digest: str
    bytes: int


class BuildImageParity(TypedDict):
    """Its answers to the probe rows against the model's own; null when it did not answer."""

    rows: int
    max_abs_difference: float | None
    tolerance: float
    labels_equal: bool
    exact: bool
    holds: bool
    problem: NotRequired[str | None]


class BuildImageSmoke(TypedDict):
    """How it was tried before the push; null when it could not be."""

    isolation: str
    read_only: bool
    rows: int
    cold_start_s: NotRequired[float]
    requests: NotRequired[int]
    latency_ms_p50: NotRequired[float]
    latency_ms_p95: NotRequired[float]


class BuildImageGate(TypedDict):
    """A limit."""

    gate: str
    limit: float
    value: float | None
    state: str


class BuildImageSbom(TypedDict):
    """The list of its packages; null when none was made."""

    file: str
    format: str
    components: Mapping[str, int]


class BuildImageSignature(TypedDict):
    """Its signature; null when there is none."""

    by: str
    transparency_log: bool


class BuildImageResult(TypedDict):
    """The image that serves the model. As the stage returns it."""

    why: str
    repository: str | None
    tags: Sequence[str]
    digest: str
    reference: str
    pushed: bool
    builder: str
    builder_version: str
    base: BuildImageBase
    engine: BuildImageEngine
    model_digest: str
    size_mb: float
    requirements_sha256: str
    layers: Sequence[BuildImageLayer]
    parity: BuildImageParity | None
    smoke: BuildImageSmoke | None
    trouble: str | None
    gates: Sequence[BuildImageGate]
    sbom: BuildImageSbom | None
    signature: BuildImageSignature | None
    labels: Mapping[str, str]
    folder: str
    files: Mapping[str, str]


class BuildImageSection(BuildImageResult, ReusableSection):
    """The image that serves the model."""


class CompareVariantsAct(TypedDict):
    """What became of the decision; null where nothing was to be done."""

    environment: str
    carried_out: bool
    verdict: str
    why: str


class CompareVariantsSpan(TypedDict):
    """The rows' times."""

    first: str | None
    last: str | None


class CompareVariantsMetric(TypedDict):
    """What decides; its interval is of the gain."""

    name: str
    greater_is_better: bool
    min_gain: float
    state: str
    reason: str
    control: float | None
    treatment: float | None
    interval: Sequence[float] | None
    units: Sequence[int]
    rows: Sequence[int]


class CompareVariantsGuardRail(TypedDict):
    """A guard rail."""

    name: str
    condition: str
    value: float
    state: str
    reason: str
    control: float | None
    treatment: float | None
    interval: Sequence[float] | None
    units: Sequence[int]
    rows: Sequence[int]


class CompareVariantsSampleRatio(TypedDict):
    """The treatment's share of the units."""

    expected: float
    found: float
    p_value: float
    level: float
    holds: bool


class CompareVariantsResult(TypedDict):
    """Which of two variants is better. As the stage returns it."""

    why: str
    decision: str
    act: CompareVariantsAct | None
    control: str
    treatment: str
    unit: str
    span: CompareVariantsSpan
    metric: CompareVariantsMetric
    guard_rails: Sequence[CompareVariantsGuardRail]
    sample_ratio: CompareVariantsSampleRatio
    confidence: float
    findings: Sequence[Finding]


class CompareVariantsSection(CompareVariantsResult, Section):
    """Which of two variants is better."""


class CheckDriftReference(TypedDict):
    """What was compared with."""

    kind: str
    name: str
    version: str | None
    run_id: str | None
    rows: int


class CheckDriftWindow(TypedDict):
    """The rows that were looked at."""

    location: str
    rows: int
    first: str | float | None
    last: str | float | None
    digest: str
    season: str | None


class CheckDriftDrift(TypedDict):
    """Which kinds there are."""

    data: bool
    prediction: bool
    label: bool
    joint: bool


class CheckDriftColumnNulls(TypedDict):
    """Shares of rows without a value."""

    reference: float | None
    window: float | None
    p_adjusted: float | None


class CheckDriftColumnRange(TypedDict):
    """Of numbers."""

    reference: Sequence[float] | None
    window: Sequence[float] | None
    outside: float | None
    infinite: int


class CheckDriftColumnCategories(TypedDict):
    """What came and went."""

    new: Sequence[str]
    new_count: int
    new_share: float | None
    vanished: Sequence[str]
    vanished_count: int


CheckDriftColumnDistribution = TypedDict(
    "CheckDriftColumnDistribution",
    {
        "from": float | None,
        "to": float | None,
        "labels": Sequence[str] | None,
        "reference": Sequence[float],
        "window": Sequence[float],
    },
)


class CheckDriftColumn(TypedDict):
    """A column, judged."""

    name: str
    role: str
    kind: str
    method: str
    score: float | None
    threshold: float
    p_value: float | None
    p_adjusted: float | None
    nulls: CheckDriftColumnNulls
    importance: float | None
    drifted_now: bool
    drifted: bool
    windows: Sequence[bool | None]
    reasons: Sequence[str]
    range: CheckDriftColumnRange | None
    categories: CheckDriftColumnCategories | None
    distribution: CheckDriftColumnDistribution | None


class CheckDriftJoint(TypedDict):
    """How well a classifier tells the rows from the reference's."""

    auc: float
    p_value: float
    min_auc: float
    rows: Sequence[int]
    drifted: bool


class CheckDriftWindows(TypedDict):
    """Windows that were judged."""

    seen: int
    needed: int
    of: int


class CheckDriftResult(TypedDict):
    """Whether today's rows are like those that the model learnt from. As the stage returns it."""

    why: str
    state: str
    rules: str
    reference: CheckDriftReference
    window: CheckDriftWindow
    engine: str
    level: float
    findings: Sequence[Finding]
    drift: CheckDriftDrift
    share: float
    columns: Sequence[CheckDriftColumn]
    joint: CheckDriftJoint | None
    windows: CheckDriftWindows
    folder: str
    files: Mapping[str, str]


class CheckDriftSection(CheckDriftResult, Section):
    """Whether today's rows are like those that the model learnt from."""


class MonitorWindowFigures(TypedDict):
    """What was told; null where nothing is known."""

    requests: float | None
    requests_per_second: float | None
    error_rate: float | None
    refused_rate: float | None
    latency_mean_ms: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    model_mean_ms: float | None
    model_p50_ms: float | None
    model_p95_ms: float | None
    model_p99_ms: float | None
    cold_start_s: float | None
    load_s: float | None
    replicas: float | None
    utilisation: float | None
    log_dropped: float | None


class MonitorWindow(TypedDict):
    """A window."""

    source: str
    begin: str | None
    end: str
    figures: MonitorWindowFigures


class MonitorLimit(TypedDict):
    """A limit."""

    metric: str
    condition: str
    limit: float
    source: str | None
    state: str
    reason: str
    values: Sequence[float | None]
    broken: int


class MonitorReference(TypedDict):
    """A version."""

    version: str
    run_id: str | None
    rows: int


class MonitorQualityMetric(TypedDict):
    """A metric."""

    value: float | None
    interval: Sequence[float] | None
    problem: str | None


class MonitorQuality(TypedDict):
    """A span."""

    begin: str
    end: str
    predicted: int
    rows: int
    verdict: str
    metrics: Mapping[str, MonitorQualityMetric]
    gates: Sequence[Gate]


class MonitorGate(TypedDict):
    """A gate."""

    name: str
    metric: str
    by: str | None
    condition: str
    limit: float
    state: str
    reason: str
    broken: int
    champion: NotRequired[float | None]
    values: Sequence[float | None]


class MonitorResult(TypedDict):
    """How the service fares. As the stage returns it."""

    why: str
    windows: Sequence[MonitorWindow]
    limits: Sequence[MonitorLimit]
    positive: str | float | bool | None
    reference: MonitorReference | None
    quality: Sequence[MonitorQuality]
    gates: Sequence[MonitorGate]
    findings: Sequence[Finding]


class MonitorSection(MonitorResult, Section):
    """How the service fares."""


class DeploymentVariant(TypedDict):
    """A variant that serves."""

    name: str
    image: str
    digest: str
    version: str | None
    run_id: str | None
    weight: int
    replicas: int


class Deployment(TypedDict):
    """All that serves in an environment."""

    environment: str
    variants: Sequence[DeploymentVariant]


class ChangePolicy(TypedDict):
    """A rule, judged."""

    rule: str
    holds: bool
    why: str


class ChangeSmoke(TypedDict):
    """What the service answered when it was asked for what is known; null when it did not come so far."""

    asked: str | None
    requests: int
    compared: int
    max_difference: float
    latency_ms_p50: float | None
    latency_ms_p95: float | None


class ChangeAliases(TypedDict):
    """Who has the registry's aliases since; null when they were not to move."""

    champion: str | None
    previous: str | None


class ChangeImageTags(TypedDict):
    """Digests that the tags of the images' repository point to since; null when they were not to move, or the image was never pushed."""

    champion: str
    previous: str | None


class ChangeLedger(TypedDict):
    """The commit that wrote it down; null when there was nothing new."""

    branch: str
    commit: str
    pushed: bool


class ChangeResult(TypedDict):
    """A change of what serves. As the stage returns it."""

    why: str
    environment: str
    target: str
    address: str | None
    action: str
    actor: str | None
    source: NotRequired[str]
    version: str | None
    digest: str
    weight: int
    deployment: Deployment
    previous: Deployment | None
    policy: Sequence[ChangePolicy]
    plan: Sequence[str]
    steps: Sequence[str]
    smoke: ChangeSmoke | None
    rolled_back: bool
    aliases: ChangeAliases | None
    image_tags: ChangeImageTags | None
    ledger: ChangeLedger | None


class Change(ChangeResult, ReusableSection):
    """A change of what serves."""


class RetrainCause(TypedDict):
    """A cause."""

    kind: str
    what: str
    key: str


class RetrainHeld(TypedDict):
    """A hold."""

    by: str
    what: str
    until: str | None


class RetrainData(TypedDict):
    """What the data holds that is newer than the champion's."""

    sha256: str
    newest: str | float | None
    new_rows: int | None
    new_s: float | None


class RetrainResult(TypedDict):
    """The decision about a retraining. As the stage returns it."""

    at: str
    retrain: bool
    reason: str
    approval: str
    why: str
    causes: Sequence[RetrainCause]
    held: Sequence[RetrainHeld]
    resets: bool
    without_gain: int
    in_budget: int
    champion: Version | None
    data: RetrainData
    decisions: int
    findings: Sequence[Finding]


class RetrainSection(RetrainResult, Section):
    """The decision about a retraining."""


class RecordResult(TypedDict):
    """The record's own commit. As the stage returns it."""

    commit: str | None
    branch: str
    remote: str | None
    pushed: bool
    problem: str | None
    findings: Sequence[Finding]


class RecordSection(RecordResult, ReusableSection):
    """The record's own commit."""


Sections = TypedDict(
    "Sections",
    {
        "check-data": NotRequired[CheckDataSection],
        "train": NotRequired[TrainSection],
        "evaluate": NotRequired[EvaluateSection],
        "explain": NotRequired[ExplainSection],
        "register": NotRequired[RegisterSection],
        "build-image": NotRequired[BuildImageSection],
        "compare-variants": NotRequired[CompareVariantsSection],
        "check-drift": NotRequired[CheckDriftSection],
        "monitor": NotRequired[MonitorSection],
        "deploy": NotRequired[Change],
        "promote": NotRequired[Change],
        "rollback": NotRequired[Change],
        "retrain": NotRequired[RetrainSection],
        "record": NotRequired[RecordSection],
    },
)


class Record(TypedDict):
    """The record of one run; sections are only ever added."""

    schema_version: int
    run_id: str
    start: str
    end: NotRequired[str]
    duration_s: NotRequired[float]
    tool: RecordTool
    model: RecordModel
    line: str
    trigger: RecordTrigger
    ci: RecordCi
    code: RecordCode
    environment: RecordEnvironment
    config: RecordConfig
    verdict: str
    stages: Sections
