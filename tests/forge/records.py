"""Records to report on, made without training anything."""

import copy
from typing import Any

from model_ci.schema import load_schema, problems

TIMES = {"start": "2026-11-23T10:00:00.000+00:00", "end": "2026-11-23T10:00:02.000+00:00", "duration_s": 2.0}
METHOD = {
    "asked": "scratch", "used": "scratch", "why": None, "fall_back": False, "champion": None, "had": None, "added": None,
    "new_rows": None, "chunks": None, "prequential": None,
}  # fmt: skip
COMMON = {**TIMES, "fingerprint": "0" * 64, "inputs": {}, "settings": None, "code_commit": "c" * 40}
DATA = {
    "location": "data/*.parquet", "format": "parquet", "dvc": None, "rows": 20000, "sha256": "1" * 64,
    "files": [{"path": "data/01.parquet", "bytes": 1000, "sha256": "1" * 64}],
}  # fmt: skip
MODEL = {
    "folder": "model", "flavor": "sklearn", "format": "skops", "signature": True, "files": {"MLmodel": "2" * 64},
    "size_mb": 0.34, "features": ["distance"], "classes": [0, 1], "probe_sha256": "3" * 64,
}  # fmt: skip


def gate(metric: str = "roc_auc", state: str = "passed", **changes: Any) -> dict[str, Any]:
    """A gate that compares with the champion."""
    return _complete({
        "metric": metric, "condition": "max_drop", "limit": 0.01, "challenger": 0.6421, "champion": 0.6457,
        "difference": -0.0036, "interval": [-0.0081, 0.0012], "comparison": "within tolerance", "rows_needed": None,
        "state": state, "reason": "0.0036 lower than the champion, 0.01 allowed",
    } | changes)  # fmt: skip


def _complete(made: dict[str, Any]) -> dict[str, Any]:
    """Add what the schema requires and this test says nothing of: nothing, or none."""
    schema = load_schema("run")["$defs"]["gate"]
    empty = {key: [] if schema["properties"][key].get("type") == "array" else None for key in schema["required"]}
    return empty | made


def record(name: str = "flight-delays", gates: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A run of three stages that was judged against a champion."""
    gates = gates or [
        gate(condition="min", limit=0.6, interval=None, comparison=None),
        gate(),
        gate("log_loss", "failed", condition="max_rise", limit=0.005, champion=0.61, challenger=0.63, difference=0.02,
             interval=[0.012, 0.029], comparison="worse", reason="0.02 higher than the champion, 0.005 allowed"),
        gate("mean_cost", "inconclusive", condition="min_gain", limit=0.002, difference=0.003, interval=[-0.002, 0.008],
             comparison="inconclusive", rows_needed=60000, reason="2,316 rows are too few to be sure"),
        gate("latency_ms", condition="max", limit=200.0, champion=9.9, challenger=6.8, difference=-3.1, interval=None,
             comparison=None, reason="6.8 is at most 200"),
    ]  # fmt: skip
    failed = sum(g["state"] != "passed" for g in gates)
    verdict = "failed" if failed else "passed"
    made = {
        "schema_version": 1, "run_id": "20261123T100000000Z-0a1b2c3d", **TIMES,
        "tool": {"name": "model-ci", "version": "0.1.0"}, "model": {"name": name, "task": "binary"},
        "line": "model",
        "trigger": {"event": "pull_request", "reason": None},
        "ci": {"provider": "github", "run_url": "https://github.com/acme/shop/actions/runs/9", "actor": "ann", "branch": None},
        "code": {"repository": "https://github.com/acme/shop", "commit": "c" * 40, "branch": None, "dirty": False,
                 "diff_sha256": None},
        "environment": {"python": "3.12.3", "platform": "Linux", "packages_sha256": "4" * 64},
        "config": {"file": "model-ci.yaml", "folder": "", "values": {}}, "verdict": verdict,
        "stages": {
            "check-data": {**COMMON, "verdict": "passed", "data": DATA, "checks": [{"name": "columns", "passed": True, "detail": "5 columns"}], "findings": []},
            "train": {**COMMON, "verdict": "done", "data": DATA, "how": "model_code:build", "parameters": {"depth": 4},
                      "hyperparameters": {}, "seed": 0, "threads": 1, "model": MODEL, "method": METHOD, "store_state": None},
            "evaluate": {
                **COMMON, "verdict": verdict, "why": f"{failed} of {len(gates)} conditions failed" if failed else "every gate holds",
                "rows": 2316, "champion": {"version": "2", "run_id": None}, "store_state": None,
                "changed": [{"what": "parameter depth", "champion": 3, "challenger": 4}], "unchanged": {"same": ["code", "data"], "unknown": []}, "too_good": None, "positive": "1", "dependence": None,
                "holdout": {"identity": "0" * 64, "rows": 2316, "challenger_learnt": 0, "champion_learnt": 0, "false_positives": 0.0,
                            "problem": None, "challengers": 1, "uncounted": None, "confidence": 0.95},
                "comparison": {"resamples": 1000, "confidence": 0.95, "seed": 0, "blocks": None},
                "metrics": {"roc_auc": {"challenger": 0.6421, "champion": 0.6457, "greater_is_better": True, "problem": None},
                            "brier_score": {"challenger": 0.23, "champion": 0.22, "greater_is_better": False, "problem": None}},
                "gates": gates,
            },
        },
    }  # fmt: skip
    assert list(problems(made, "run")) == []
    return copy.deepcopy(made)
