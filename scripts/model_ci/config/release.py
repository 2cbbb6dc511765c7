"""The sections that bring a model to where it serves."""

from collections.abc import Mapping, Sequence

from model_ci.frozen import dataclass
from model_ci.terms import TargetKind


@dataclass(frozen=True, kw_only=True)
class Login:  # noqa: D101 - the schema describes each section and key
    user: str
    password: str


@dataclass(frozen=True, kw_only=True)
class Signature:  # noqa: D101
    key: str | None
    public_key: str | None
    keyless: bool
    identity: str | None
    issuer: str | None
    transparency_log: bool


@dataclass(frozen=True, kw_only=True)
class BuildImage:  # noqa: D101
    in_run: bool
    repository: str | None
    base: str | None
    builder: str
    engine: str
    explain: bool
    tolerance: float
    requests: int
    timeout_s: float
    max_size_mb: float | None
    max_cold_start_s: float | None
    max_latency_ms: float | None
    allow_untried: bool
    tags: Sequence[str]
    sbom: bool
    login: Login
    signature: Signature


@dataclass(frozen=True, kw_only=True)
class Smoke:  # noqa: D101
    tolerance: float
    requests: int
    max_latency_ms: float | None
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Policy:  # noqa: D101
    allowed_refs: Sequence[str]
    only_ci: bool
    require_passed: bool
    require_registered: bool
    require_signature: bool
    approval: str | None


@dataclass(frozen=True, kw_only=True)
class Docker:  # noqa: D101
    balancer: str
    bind: str
    port: int | None
    address: str | None
    sticky: str
    sticky_name: str
    drain_s: float
    memory: str | None
    cpus: float | None
    prediction_log: str | None
    variables: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class PodScaling:  # noqa: D101
    max_replicas: int | None
    cpu_percent: int
    requests_per_second: float | None
    requests_metric: str


@dataclass(frozen=True, kw_only=True)
class Kubernetes:  # noqa: D101
    context: str | None
    namespace: str
    output: str
    routing: str
    gateway: str | None
    host: str | None
    ingress_class: str
    most_pods: int
    service_type: str
    node_port: int | None
    address: str | None
    cpu: str
    cpu_limit: str | None
    memory: str
    autoscaling: PodScaling
    drain_s: int
    allow_from: Sequence[str]
    service_account: str | None
    pull_secret: str | None
    secret: str | None
    prediction_log: str | None
    variables: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class MachineScaling:  # noqa: D101
    max_replicas: int | None
    requests_per_minute: float


@dataclass(frozen=True, kw_only=True)
class SageMaker:  # noqa: D101
    region: str | None
    role: str | None
    instance_type: str
    serverless: Mapping[str, int] | None
    autoscaling: MachineScaling
    shift: str
    shift_percent: int
    shift_wait_s: int
    alarms: Sequence[str]
    variables: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Environment:  # noqa: D101
    target: TargetKind
    replicas: int
    timeout_s: float
    source: str | None
    policy: Policy
    docker: Docker
    kubernetes: Kubernetes
    sagemaker: SageMaker


@dataclass(frozen=True, kw_only=True)
class Deploy:  # noqa: D101
    environment: str
    weight: int
    in_run: bool
    smoke: Smoke
    environments: Mapping[str, Environment]


@dataclass(frozen=True, kw_only=True)
class Promote:  # noqa: D101
    to: str
    version: str | None
    source: str | None


@dataclass(frozen=True, kw_only=True)
class Rollback:  # noqa: D101
    environment: str | None
