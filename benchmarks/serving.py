"""What a prediction costs as a service, beside MLflow's own server, MLServer and BentoML, and beside no model at all.

One model, gradient boosting on the flights of the example project, in two cases: `mixed` has the pipeline of the example,
text columns included; `numbers` has its twelve numeric columns alone. One load generator, wrk, on the second core; each
server with all its processes on the first, one worker each. CPU is user and system time of all processes of a server, as
the kernel counts it, divided by the requests that wrk saw answered with 200. Memory is PSS after the load. The start is
the time from the command to the first prediction that came back.

The peers are installed into environments of their own below .tools/peers, once.
"""

import argparse
import json
import math
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
PEERS: Final = ROOT / ".tools" / "peers"
_FEWEST: Final = 20  # answers that a figure rests on
# What is asked of us: at most this share of MLflow's, or of the other.
BARS: Final = {
    ("onnx", "cpu", "mlflow"): 1 / 40,
    ("onnx", "cpu", "mlserver"): 1.0,
    ("onnx", "cpu", "bentoml"): 1.0,
    ("onnx", "cpu", "no model"): 1.6,
    ("onnx", "start", "mlflow"): 1 / 5,
    ("onnx", "memory", "mlflow"): 1 / 3,
    ("sklearn", "cpu", "mlflow"): 1 / 6,
    ("sklearn", "start", "mlflow"): math.inf,  # what scikit-learn's import takes; shown, and no bar of ours
    ("sklearn", "memory", "mlflow"): math.inf,
}
BENTO: Final = """
import bentoml, joblib, pandas as pd
from typing import Any

@bentoml.service(workers=1)
class Flights:
    def __init__(self):
        self.model = joblib.load("model.joblib")

    @bentoml.api
    def predict(self, columns: list[str], data: list[list[Any]]) -> dict:
        rows = pd.DataFrame(data, columns=columns)
        return {"predictions": self.model.predict(rows).tolist()}
"""
EMPTY: Final = """
import sys
from model_ci.serving import engine, server, service
from model_ci.serving.predictions import Predictions
from model_ci.serving.settings import Settings
import os


class Nothing:
    def __init__(self, outputs, probabilities):
        import numpy as np
        self.labels, self.chances = np.array(outputs * 9), np.array(probabilities * 9)

    def predict(self, rows):
        return Predictions(labels=self.labels[: rows.count], probabilities=self.chances[: rows.count])


def load(manifest, signature, threads):
    return Nothing(manifest["probe"]["outputs"], manifest["probe"]["probabilities"])


engine.load = load
service.same_together = lambda *_: True
sys.exit(server.serve(Settings.read(os.environ)))
"""


@dataclass(frozen=True)
class Case:
    """A fitted model as each server wants it, and the one row that is asked."""

    name: str
    folder: Path  # with saved/ (MLflow's), onnx/ and sklearn/ (ours), joblib/ (the others')
    columns: Sequence[str]
    row: Sequence[Any]
    datatypes: Mapping[str, str]


@dataclass(frozen=True)
class Server:
    """How a server is started, and how it is asked."""

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    path: str
    body: Any


@dataclass(frozen=True)
class Measured:
    """What a server needed."""

    cpu: float
    start: float
    memory: float
    rate: float


def main() -> int:
    """Measure and print; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5, help="of load, after two to warm up (%(default)s)")
    parser.add_argument("--connections", type=int, default=64, help="that ask at once (%(default)s)")
    parser.add_argument("-n", type=int, default=3, help="rotations through all servers (%(default)s)")
    parser.add_argument("--only", default="", help="servers, separated by commas")
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("benchmarks/serving.py: wrk is not there; install it")
    install_peers()
    missed = []
    with tempfile.TemporaryDirectory(prefix="model-ci-bench-") as name:
        for case in (make(Path(name) / kind, kind) for kind in ("mixed", "numbers")):
            found = rotate(case, arguments)
            missed += report(case.name, found)
    for text in missed:
        print(f"missed: {text}")
    return 1 if missed else 0


def install_peers() -> None:
    """Make an environment for each peer that has none."""
    wanted = {
        "mlserver": ["mlserver==1.7.1", "mlserver-sklearn==1.7.1"],
        "bentoml": ["bentoml==1.4.39"],
    }
    same = [f"{name}=={version(name)}" for name in ("scikit-learn", "pandas")]
    for name, needs in wanted.items():
        python = PEERS / name / "bin" / "python"
        if (PEERS / name / "bin" / name).is_file():
            continue
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(PEERS / name)], check=True)
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), *needs, *same], check=True)


def version(name: str) -> str:
    from importlib import metadata

    return metadata.version(name)


def make(folder: Path, kind: str) -> Case:
    """Fit the model and write it down for each server."""
    import importlib.util

    import joblib
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    from model_ci import model
    from model_ci.stages.build_image import bundle

    folder.mkdir()
    example = ROOT / "example-project"
    table = pd.concat([pd.read_parquet(example / "data" / f"flights-2013-{m:02}.parquet") for m in (1, 2, 3)])
    rows, target = table.drop(columns=["late", "scheduled"]), table["late"]
    if kind == "mixed":
        spec = importlib.util.spec_from_file_location("flights_model", example / "flights" / "model.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        estimator = module.build(max_iter=100, learning_rate=0.05, max_leaf_nodes=15)
    else:
        rows = rows.select_dtypes("number")
        estimator = HistGradientBoostingClassifier(max_iter=100, learning_rate=0.05, max_leaf_nodes=15)
    with threadpool_limits(1):
        estimator.fit(rows, target)
        model.save(estimator, folder / "saved", rows)
        files = model.hash_files(folder / "saved")
        source = bundle.Source(
            folder=folder / "saved", files=files, estimator=estimator, columns=list(rows.columns), classes=[0, 1],
            name="flights", task="binary", run_id="benchmark",
        )  # fmt: skip
        for wanted in ("onnx", "sklearn"):
            (folder / wanted).mkdir()
            bundle.create(source, rows.tail(300), folder / wanted, wanted=wanted)
    (folder / "joblib").mkdir()
    joblib.dump(estimator, folder / "joblib" / "model.joblib")
    (folder / "joblib" / "service.py").write_text(BENTO)
    (folder / "joblib" / "empty.py").write_text(EMPTY)
    settings = {"name": "flights", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}  # fmt: skip
    (folder / "joblib" / "model-settings.json").write_text(json.dumps(settings))
    probe = json.loads((folder / "onnx" / "manifest.json").read_text())
    kinds = {"string": "BYTES", "long": "INT64", "double": "FP64"}
    row = probe["probe"]["inputs"]["data"][0]
    datatypes = {c["name"]: kinds[c["type"]] for c in probe["signature"]}
    return Case(kind, folder, list(rows.columns), row, datatypes)


def servers(case: Case, port: int) -> dict[str, Server]:
    """Return all servers, ours first."""
    split = {"dataframe_split": {"columns": case.columns, "data": [case.row]}}
    here, joblib = case.folder, case.folder / "joblib"
    tensors = [
        {"name": n, "shape": [1], "datatype": case.datatypes[n], "data": [v]}
        for n, v in zip(case.columns, case.row, strict=True)
    ]
    content = {"parameters": {"content_type": "pd"}, "inputs": tensors, "outputs": [{"name": "predict"}]}
    if case.name == "numbers":
        whole = {"name": "x", "shape": [1, len(case.row)], "datatype": "FP64", "data": case.row}
        content = {"inputs": [whole], "outputs": [{"name": "predict"}]}
    made = {}
    for name, engine in (("onnx", "onnx"), ("sklearn", "sklearn"), ("no model", "onnx")):
        script = [str(joblib / "empty.py")] if name == "no model" else ["-m", "model_ci.serving"]
        environment = {
            "PYTHONPATH": str(here / engine / "app"), "MODEL_CI_MANIFEST": str(here / engine / "manifest.json"),
            "MODEL_CI_HOST": "127.0.0.1", "MODEL_CI_PORT": str(port), "MODEL_CI_DRAIN_S": "0",
        }  # fmt: skip
        made[name] = Server([sys.executable, *script], here, environment, "/invocations", split)
    made["mlflow"] = Server(
        [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(here / "saved"), "-p", str(port), "--env-manager", "local", "--workers", "1"],
        here, {}, "/invocations", split,
    )  # fmt: skip
    made["mlserver"] = Server(
        [str(PEERS / "mlserver" / "bin" / "mlserver"), "start", "."], joblib,
        {"MLSERVER_HTTP_PORT": str(port), "MLSERVER_GRPC_PORT": str(free_port()), "MLSERVER_METRICS_PORT": str(free_port()),
         "MLSERVER_PARALLEL_WORKERS": "0", "MLSERVER_HOST": "127.0.0.1", "MLSERVER_DEBUG": "false"},
        "/v2/models/flights/infer", content,
    )  # fmt: skip
    made["bentoml"] = Server(
        [str(PEERS / "bentoml" / "bin" / "bentoml"), "serve", "service:Flights", "--host", "127.0.0.1", "--port", str(port)],
        joblib, {"BENTOML_DO_NOT_TRACK": "true"}, "/predict", split["dataframe_split"],
    )  # fmt: skip
    return made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rotate(case: Case, arguments: argparse.Namespace) -> dict[str, Measured]:
    """Measure each server in turn, several times; return the medians."""
    rounds: dict[str, list[Measured]] = {}
    for _ in range(arguments.n):
        port = free_port()
        for name, server in servers(case, port).items():
            if arguments.only and name not in arguments.only.split(","):
                continue
            measured = measure(server, port, case.folder, arguments)
            rounds.setdefault(name, []).append(measured)
            print(f"# {case.name} {name}: {measured}", file=sys.stderr)
    fields = ("cpu", "start", "memory", "rate")
    return {
        name: Measured(*(statistics.median(getattr(m, field) for m in found) for field in fields))
        for name, found in rounds.items()
    }


def measure(server: Server, port: int, scratch: Path, arguments: argparse.Namespace) -> Measured:
    """Start a server, ask it, load it, weigh it and end it."""
    body = scratch / "body.json"
    body.write_text(json.dumps(server.body))
    many, seconds = arguments.connections, arguments.seconds
    begin = time.monotonic()
    with started(server, scratch) as process:
        address = f"http://127.0.0.1:{port}{server.path}"
        wait(address, body.read_bytes(), process)
        start = time.monotonic() - begin
        load(address, body, scratch, many, 2)
        before = cpu_s(process.pid)
        answered, rate = load(address, body, scratch, many, seconds)
        used = cpu_s(process.pid) - before
        if answered < _FEWEST:
            raise SystemExit(
                f"{address}: {answered} answers in {seconds} s are too few to tell; give it more --seconds"
            )
        return Measured(cpu=used / answered * 1e6, start=start, memory=pss_mb(process.pid), rate=rate)


@contextmanager
def started(server: Server, scratch: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a server on the first core, in a session of its own, and end all of it."""
    foreign = ("MODEL_CI_", "MLFLOW_", "PYTHON")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    environment |= {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with (scratch / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", "0", *server.command], cwd=server.folder, env={**environment, **server.environment},
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait(address: str, body: bytes, process: "subprocess.Popen[bytes]") -> None:
    """Ask until a prediction comes back."""
    end = time.monotonic() + 180
    while True:
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                answer.read()
                return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > end:
                told = getattr(error, "read", bytes)()[:500]
                raise SystemExit(f"{address}: no prediction: {error} {told!r}") from None
            time.sleep(0.02)


def load(address: str, body: Path, scratch: Path, connections: int, seconds: int) -> tuple[int, float]:
    """Let wrk ask from the second core; return how many requests were answered, and how many a second."""
    script = scratch / "post.lua"
    text = body.read_text()
    assert "]==]" not in text
    script.write_text(
        f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [==[{text}]==]\n'
    )
    command = [
        "taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "10", "-s", str(script), address,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout
    if done.returncode:
        raise SystemExit(f"{address}: wrk ended with {done.returncode}:\n{said}{done.stderr}")
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"{address}: not all requests were answered:\n{said}")
    answered = int(said.split(" requests in ")[0].split()[-1])
    return answered, float(said.split("Requests/sec:")[1].split()[0])


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for other in found:
        for children in Path(f"/proc/{other}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return found


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and all below it."""
    ticks = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mb(pid: int) -> float:
    """Return the memory of a process and all below it, what they share counted once."""
    kilobytes = 0
    for one in family(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def report(case: str, found: Mapping[str, Measured]) -> list[str]:
    """Print the table of a case; return the bars that it misses."""
    print(f"\n| {case} | CPU, us a request | start, s | memory, MB | requests a second |\n|---|---|---|---|---|")
    for name, m in found.items():
        print(f"| {name} | {m.cpu:.0f} | {m.start:.2f} | {m.memory:.0f} | {m.rate:.0f} |")
    print("\n| ours | what | beside | share | at most |\n|---|---|---|---|---|")
    missed = []
    for (ours, what, theirs), bar in BARS.items():
        if ours not in found or theirs not in found:
            continue
        share = getattr(found[ours], what) / getattr(found[theirs], what)
        told = f"1/{1 / share:.1f}" if share < 0.5 else f"{share:.2f}"
        allowed = f"1/{1 / bar:.0f}" if bar < 0.5 else "-" if math.isinf(bar) else f"{bar:g}"
        print(f"| {ours} | {what} | {theirs} | {told} | {allowed} |", flush=True)
        missed += [f"{case}: {ours} {what} is {told} of {theirs}, more than {allowed}"] if share > bar else []
    return missed


if __name__ == "__main__":
    sys.exit(main())
