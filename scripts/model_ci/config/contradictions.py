"""What a schema cannot say: keys that need or exclude each other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from model_ci.config.conditions import CONDITIONS, Judged
from model_ci.schema import Path_
from model_ci.terms import Fairness, TargetKind, WindowKind
from model_ci.types import Settings

_CALIBRATION: Final = "expected_calibration_error"


def contradictions(values: Settings, given: Settings) -> list[tuple[Path_, str]]:
    """Return where values contradict each other, and how; `given` holds what the file sets, without any default."""
    data, window, holdout = values["data"], values["data"]["window"], values["data"]["holdout"]
    timed = data["time_column"] is not None
    contradicting: list[tuple[Path_, str]] = []

    def need(holds: object, path: Path_, message: str) -> None:
        if not holds:
            contradicting.append((path, message))

    here: Path_ = ("data", "window")
    if window["kind"] == WindowKind.FIXED:
        need(window["last"] is not None, here, "kind fixed needs 'last': a number of rows or a duration such as 30d")
    if window["kind"] == WindowKind.EXPANDING:
        need(window["start"], here, "kind expanding needs 'start': the first time that counts")
    need(
        window["last"] is None or window["kind"] in (WindowKind.FIXED, WindowKind.DYNAMIC),
        (*here, "last"),
        "is only for kind: fixed or dynamic",
    )
    contradicting += [((*here, *path), message) for path, message in _unfit_window(window, timed=timed)]
    need(
        window["start"] is None or window["kind"] == WindowKind.EXPANDING,
        (*here, "start"),
        "is only for kind: expanding",
    )
    by_time = window["kind"] != WindowKind.ALL or holdout["by"] == "time" or data["until"]
    need(timed or not by_time, ("data",), "'time_column' is missing; windows, holdouts and 'until' by time need it")
    contradicting += [
        (("data", "holdout", *path), message) for path, message in _unfit_holdout(data, values["model"]["task"])
    ]
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
    splits = by_column and holdout["by"] == "random" and holdout["key"] != [by_column]
    need(
        not splits,
        (*there, "block_column"),
        f"a random holdout has rows of one {by_column} on both sides, so the model would be judged on a {by_column} that it "
        f"knows; set data.holdout to {{by: group, group: {by_column}}}",
    )
    for i, gate in enumerate(given["evaluate"].get("gates", ())):
        need(
            not (by_column or by_duration) or not _bounds_calibration(gate, unsure["absolute"]),
            ("evaluate", "gates", i),
            f"the bounds of {_CALIBRATION} need independent rows, and {'block_column' if by_column else 'block_duration'} "
            "groups them; gate brier_score or log_loss",
        )
    judging: dict[Path_, Settings] = {
        ("evaluate",): given["evaluate"],
        ("monitor", "quality"): given.get("monitor", {}).get("quality", {}),
    }
    for section, judged in judging.items():
        for i, gate in enumerate(judged.get("gates", ())):
            unfit = _unfit_gate(gate, timed=timed, task=values["model"]["task"])
            contradicting += [((*section, "gates", i, *path), message) for path, message in unfit]
        for i, name in enumerate(judged.get("metrics", ())):
            here = (*section, "metrics", i)
            need(name not in tuple(Fairness), here, f"{name} is of slices; name it in a gate with 'by'")
    missed = "missed" in given.get("retrain", {})
    need(
        not missed or values["retrain"]["interval"],
        ("retrain", "missed"),
        "needs 'interval': how often this check is meant to run",
    )
    for name, environment in values["deploy"]["environments"].items():
        contradicting += [(("deploy", "environments", name, *path), message) for path, message in _unfit(environment)]
    return contradicting


def _unfit_holdout(data: Settings, task: str) -> Iterator[tuple[Path_, str]]:
    """Yield what the kind of holdout does not have, and what it lacks."""
    holdout = data["holdout"]
    by = holdout["by"]
    only: Mapping[str, Sequence[str]] = {
        "last": ["time"], "gap": ["time"], "group": ["group"], "path": ["file"], "seed": ["random", "group"],
        "stratify": ["random", "group"],
    }  # fmt: skip
    for key, kinds in only.items():
        if holdout[key] and by not in kinds:
            yield (key,), f"is only for by: {' or '.join(kinds)}. Got by: {by}."
    if by == "group" and not holdout["group"]:
        yield (), "by group needs 'group': the column whose rows of one value stay together"
    if by == "file" and not holdout["path"]:
        yield (), "by file needs 'path': the file of the held-out rows"
    if holdout["stratify"] and task == "regression":
        yield ("stratify",), "needs classes, but model.task is regression; leave it out"
    if data["target"] in (holdout["key"] or ()):
        yield ("key",), f"{data['target']!r} is the target; the side of a row must not depend on it"
    if data["target"] == holdout["group"]:
        yield ("group",), f"{data['target']!r} is the target; name another column"


def _unfit_gate(gate: Settings, *, timed: bool, task: str) -> Iterator[tuple[Path_, str]]:
    """Yield what a gate cannot be."""
    low, high = gate.get("min"), gate.get("max")
    if low is not None and high is not None and low > high:
        yield (), f"min {low} is above max {high}; nothing can pass"
    for key in ("bins", "min_rows", *(c.name for c in CONDITIONS.values() if c.judged is Judged.GAP)):
        if key in gate and not gate.get("by"):
            yield (key,), "is only for a gate with 'by'"
    if gate["metric"] == "data_age_days" and not timed:
        yield (), "data_age_days needs data.time_column"
    if gate["metric"] in tuple(Fairness):
        yield from _unfit_for_fairness(gate, task)


def _unfit_for_fairness(gate: Settings, task: str) -> Iterator[tuple[Path_, str]]:
    """Yield what a gate of fairness cannot be: it is a gap between slices itself, and a smaller one is better."""
    name = gate["metric"]
    if task != "binary":
        yield (), f"{name} is for the task binary; this is {task}"
    if not gate.get("by"):
        yield (), f"{name} compares slices; add 'by: column'"
    fit = [c for c in CONDITIONS.values() if c.sign < 0 and c.judged is not Judged.GAP]
    for condition in CONDITIONS.values():
        if condition.name in gate and condition not in fit:
            plain = " or ".join(c.name for c in fit if not c.share)
            yield (condition.name,), f"{name} is a gap itself, less is better; use {plain}"


def _unfit_window(window: Settings, *, timed: bool) -> Iterator[tuple[Path_, str]]:
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


def _unfit(environment: Settings) -> Iterator[tuple[Path_, str]]:
    """Yield what the environment's target cannot do."""
    target, replicas = environment["target"], environment["replicas"]
    own = environment.get(target, {})
    most = own.get("autoscaling", {}).get("max_replicas")
    if most is not None and most < replicas:
        yield (target, "autoscaling", "max_replicas"), f"is below replicas. Got {most} and {replicas}."
    if target == TargetKind.KUBERNETES:
        for routing, key in (("gateway", "gateway"), ("nginx", "host")):
            if own["routing"] == routing and not own[key]:
                yield (target,), f"routing {routing} needs '{key}'"
        if own["node_port"] and own["service_type"] != "NodePort":
            yield (target, "node_port"), "is only for service_type: NodePort"
    if target == TargetKind.SAGEMAKER:
        if not own["role"]:
            yield (target,), "'role' is missing; name the role that SageMaker takes to run the image"
        if own["serverless"] and most is not None:
            yield (target, "autoscaling", "max_replicas"), "is only for machines; a serverless variant scales by itself"


def _bounds_calibration(gate: Settings, absolute: str) -> bool:
    """Whether a gate judges the calibration error by bounds."""
    compares = any(gate.get(name) is not None for name, condition in CONDITIONS.items() if condition.compares)
    return gate.get("metric") == _CALIBRATION and bool(compares or gate.get("by") or absolute == "bound")
