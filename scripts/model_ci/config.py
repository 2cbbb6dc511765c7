"""The user's file as typed, frozen objects; what it may say and its defaults stand in schemas/config.schema.json."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

from model_ci.errors import ConfigError
from model_ci.schema import Document, Path_, fill_defaults, load_schema, problems, resolved

DEFAULT_FILE: Final = "model-ci.yaml"


@dataclass(frozen=True, kw_only=True)
class Model:  # noqa: D101 - the schema describes each section and key
    name: str
    task: str


@dataclass(frozen=True, kw_only=True)
class Sample:  # noqa: D101
    rows: int | None
    by: str
    half_life: str | None
    max_distance: float | None


@dataclass(frozen=True, kw_only=True)
class Window:  # noqa: D101
    kind: str
    last: int | str | None
    start: str | None
    signal: str
    block: int | str | None
    confidence: float
    min_rows: int
    sample: Sample


@dataclass(frozen=True, kw_only=True)
class Holdout:  # noqa: D101
    by: str
    last: str | None
    share: float


@dataclass(frozen=True, kw_only=True)
class Data:  # noqa: D101
    path: str
    target: str
    time_column: str | None
    features: Sequence[str] | None
    exclude: Sequence[str]
    until: str | None
    window: Window
    holdout: Holdout


@dataclass(frozen=True, kw_only=True)
class CheckData:  # noqa: D101
    contract: str
    min_rows: int
    leakage: float
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
    parameters: Mapping[str, Any]
    seed: int
    threads: int
    timeout_s: float | None
    code: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Gate:  # noqa: D101
    metric: str
    min: float | None = None
    max: float | None = None
    max_drop: float | None = None
    max_rise: float | None = None
    min_gain: float | None = None
    by: str | Sequence[str] | None = None
    bins: int = 4
    min_rows: int = 100
    max_gap: float | None = None

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


@dataclass(frozen=True, kw_only=True)
class Evaluate:  # noqa: D101
    metrics: Sequence[str]
    min_rows: int
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
    store: str
    branch: str
    remote: str
    promote: str
    max_file_mb: float


@dataclass(frozen=True, kw_only=True)
class DriftWindows:  # noqa: D101
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
class Login:  # noqa: D101
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
class GuardRail:  # noqa: D101
    metric: str
    better: str | None = None
    statistic: str = "mean"
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
    target: str
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
    on: Sequence[str]
    every: str | None
    new_rows: int | None
    new_span: str | None
    cooldown: str
    budget: int
    per: str
    patience: int
    approval: bool
    interval: str | None
    missed: int | None
    until: str | None


@dataclass(frozen=True, kw_only=True)
class Record:  # noqa: D101
    branch: str
    remote: str
    required: bool


@dataclass(frozen=True, kw_only=True)
class Config:
    """The whole file, valid and complete; `root` is the folder it stands in and `values` what was read."""

    root: Path
    file: str
    values: Mapping[str, Any]
    model: Model
    data: Data
    check_data: CheckData
    train: Train
    evaluate: Evaluate
    explain: Explain
    register: Register
    build_image: BuildImage
    check_drift: CheckDrift
    compare_variants: CompareVariants
    deploy: Deploy
    promote: Promote
    rollback: Rollback
    monitor: Monitor
    retrain: Retrain
    record: Record


def load(file: Path, overrides: Sequence[str] = ()) -> Config:
    """Read, override and check the file.

    `overrides` are `dotted.path=value`, the value in YAML. Raises ConfigError with every problem at once.
    """
    document = _read(file)
    for override in overrides:
        dotted, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: no '=' in it; write dotted.path=value")
        if document.value is not None:
            document.override(dotted.strip(), text)
    found = list(document.problems)
    if isinstance(document.value, dict):
        found += [f"{document.where(path)}: {message}" for path, message in problems(document.value, "config")]
    elif not found:
        found.append(
            f"{document.name}: must be a mapping with the sections model, data, train, evaluate. Got {document.value!r}."
        )
    if found:
        raise ConfigError(*found)
    schema = load_schema("config")
    values = fill_defaults(document.value, schema, schema)
    found += _expand(values, schema, (), document)
    if values["data"]["holdout"]["by"] is None:
        values["data"]["holdout"]["by"] = "time" if values["data"]["time_column"] else "random"
    if values["explain"]["in_run"] is None:
        values["explain"]["in_run"] = "explain" in document.value
    found += [f"{document.where(path)}: {message}" for path, message in _contradictions(values)]
    if found:
        raise ConfigError(*found)
    sections = {
        f.name: values.get(f.name.replace("_", "-")) for f in fields(Config) if f.name not in ("root", "file", "values")
    }
    typed = {name: _typed(get_type_hints(Config)[name], value) for name, value in sections.items()}
    return Config(root=file.resolve().parent, file=file.name, values=values, **typed)


def _read(file: Path) -> Document:
    try:
        return Document(file.read_text(encoding="utf-8"), str(file))
    except FileNotFoundError:
        raise ConfigError(
            f"{file}: no such file; write one with `model-ci init`, or name yours with --config"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}; make it a readable UTF-8 text file") from None


def _typed(kind: Any, value: Any) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{name: _typed(hints[name], v) for name, v in value.items()})
    if isinstance(value, list):
        inner = getattr(kind, "__args__", (None,))[0]
        return tuple(_typed(inner, item) for item in value)
    if isinstance(value, dict) and is_dataclass(inner := getattr(kind, "__args__", (None,))[-1]):
        return {name: _typed(inner, item) for name, item in value.items()}
    return value


def _expand(values: Any, schema: Mapping[str, Any], path: Path_, document: Document) -> list[str]:
    """Replace ${NAME} in place where the schema allows it; return the problems."""
    found: list[str] = []
    for key, sub in _properties(values, schema).items():
        value = values.get(key) if isinstance(values, dict) else None
        if isinstance(value, dict):
            found += _expand(value, sub, (*path, key), document)
        elif isinstance(value, str) and sub.get("expandEnvironment"):
            for name in re.findall(r"\$\{(\w+)\}", value):
                if name not in os.environ:
                    found.append(f"{document.where((*path, key))}: the environment has no {name}; set it")
                value = value.replace(f"${{{name}}}", os.environ.get(name, ""))
            values[key] = value
    return found


def _properties(values: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of each key; of a mapping with names of the user's own, each of which is of one kind, too."""
    kind = schema.get("additionalProperties")
    if not isinstance(kind, dict) or not isinstance(values, dict):
        return schema.get("properties", {})  # type: ignore[no-any-return]
    return dict.fromkeys(values, resolved(kind, load_schema("config")))


def _contradictions(values: Mapping[str, Any]) -> list[tuple[Path_, str]]:
    """What a schema cannot say: keys that need or exclude each other."""
    data, window, holdout = values["data"], values["data"]["window"], values["data"]["holdout"]
    timed = data["time_column"] is not None
    found: list[tuple[Path_, str]] = []

    def need(holds: object, path: Path_, message: str) -> None:
        if not holds:
            found.append((path, message))

    here: Path_ = ("data", "window")
    if window["kind"] == "fixed":
        need(window["last"] is not None, here, "kind fixed needs 'last': a number of rows or a duration such as 30d")
    if window["kind"] == "expanding":
        need(window["start"], here, "kind expanding needs 'start': the first time that counts")
    need(
        window["last"] is None or window["kind"] in ("fixed", "dynamic"),
        (*here, "last"),
        "is only for kind: fixed or dynamic",
    )
    found += [((*here, *path), message) for path, message in _unfit_window(window, timed=timed)]
    need(window["start"] is None or window["kind"] == "expanding", (*here, "start"), "is only for kind: expanding")
    by_time = window["kind"] != "all" or holdout["by"] == "time" or data["until"]
    need(timed or not by_time, ("data",), "'time_column' is missing; windows, holdouts and 'until' by time need it")
    need(holdout["last"] is None or holdout["by"] == "time", ("data", "holdout", "last"), "is only for by: time")
    taken = {data["target"]: "the target", data["time_column"]: "the time column"}
    for i, name in enumerate(data["features"] or ()):
        need(
            name != data["target"],
            ("data", "features", i),
            f"{name!r} is the target; a model that sees it learns nothing",
        )
        need(name not in data["exclude"], ("data", "features", i), f"{name!r} is excluded as well; keep one of the two")
    need(data["target"] != data["time_column"], ("data", "time_column"), "is the target as well; name another column")
    for i, name in enumerate(data["exclude"]):
        need(
            name not in taken,
            ("data", "exclude", i),
            f"{name!r} is {taken.get(name)} and never a feature; leave it out",
        )
    online_command = values["train"].get("command") and values["train"]["mode"] == "online"
    need(not online_command, ("train", "mode"), "online needs an entry point; a command is given all rows at once")
    unsure, there = values["evaluate"]["uncertainty"], ("evaluate", "uncertainty")
    by_column, by_duration = unsure["block_column"], unsure["block_duration"]
    need(not (by_column and by_duration), there, "needs one of block_column and block_duration, not both")
    need(timed or not by_duration, there, "block_duration needs data.time_column")
    for i, gate in enumerate(values["evaluate"]["gates"]):
        low, high = gate.get("min"), gate.get("max")
        need(
            low is None or high is None or low <= high,
            ("evaluate", "gates", i),
            f"min {low} is above max {high}; nothing can pass",
        )
        for key in ("bins", "min_rows", "max_gap"):
            need(key not in gate or gate.get("by"), ("evaluate", "gates", i, key), "is only for a gate with 'by'")
        aged = gate["metric"] == "data_age_days"
        need(timed or not aged, ("evaluate", "gates", i), "data_age_days needs data.time_column")
    for name, environment in values["deploy"]["environments"].items():
        found += [(("deploy", "environments", name, *path), message) for path, message in _unfit(environment)]
    return found


def _unfit_window(window: Mapping[str, Any], *, timed: bool) -> Iterator[tuple[Path_, str]]:
    """Yield what a window's sample cannot be."""
    sample = window["sample"]
    if sample["by"] == "decayed" and not sample["half_life"]:
        yield ("sample",), "by decayed needs 'half_life': the age at which a row is half as likely"
    if sample["by"] == "decayed" and not timed:
        yield ("sample",), "by decayed needs data.time_column"
    if sample["half_life"] and sample["by"] != "decayed":
        yield ("sample", "half_life"), "is only for by: decayed"
    if sample["rows"] is None and (sample["max_distance"] or sample["half_life"]):
        yield ("sample",), "needs 'rows': how many are learnt from"


def _unfit(environment: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    """Yield what the environment's target cannot do."""
    target, replicas = environment["target"], environment["replicas"]
    own = environment.get(target, {})
    most = own.get("autoscaling", {}).get("max_replicas")
    if most is not None and most < replicas:
        yield (target, "autoscaling", "max_replicas"), f"is below replicas. Got {most} and {replicas}."
    if target == "kubernetes":
        for routing, key in (("gateway", "gateway"), ("nginx", "host")):
            if own["routing"] == routing and not own[key]:
                yield (target,), f"routing {routing} needs '{key}'"
        if own["node_port"] and own["service_type"] != "NodePort":
            yield (target, "node_port"), "is only for service_type: NodePort"
    if target == "sagemaker":
        if not own["role"]:
            yield (target,), "'role' is missing; name the role that SageMaker takes to run the image"
        if own["serverless"] and most is not None:
            yield (target, "autoscaling", "max_replicas"), "is only for machines; a serverless variant scales by itself"
