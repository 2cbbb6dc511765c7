"""One model, ready or not: loaded, warmed up by a real prediction, and asked."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from model_ci.serving import engine
from model_ci.serving.comparison import Answers
from model_ci.serving.manifest import Manifest
from model_ci.serving.metrics import Metrics
from model_ci.serving.predictions import Predictions
from model_ci.serving.probe import Probe
from model_ci.serving.refusal import Refusal, StartError
from model_ci.serving.settings import Settings
from model_ci.serving.signature import Rows, Signature
from model_ci.serving.types import Record

_BEGIN: Final = time.time()
_ASKED_ALONE: Final = 8  # rows; more would make the start longer


class Service:
    """The model behind the routes.

    `ready` becomes true when the probe rows have been predicted as the manifest says, and false for good on draining.
    """

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        self.settings = settings
        self.manifest = manifest
        self.signature = Signature.read(manifest["signature"])
        self.metrics = Metrics(settings.variant)
        self.metrics.version = manifest.version
        self.metrics.info = {
            "run_id": manifest["run_id"], "digest": manifest["digest"], "engine": manifest["engine"],
        }  # fmt: skip
        self.ready = False
        self.draining = False
        self.batches = False  # whether rows of several requests may be asked about together
        self._engine: engine.Engine | None = None

    def load(self) -> None:
        """Check the files, load the model and predict the probe rows.

        Raises StartError when a file is not what the manifest vouches for, or the model does not answer as it should.
        """
        begin = time.perf_counter()
        self.manifest.check_files()
        try:
            model = engine.load(self.manifest, self.signature, self.settings.threads)
        except (StartError, MemoryError):
            raise
        except Exception as error:
            first = (str(error) or type(error).__name__).splitlines()[0]
            raise StartError(
                f"{self.manifest.root}: the model cannot be loaded: {first}; build the image again"
            ) from error
        probe = read_probe(self.manifest)
        loaded = engine.CheckedEngine(model, engine.Form.of(self.manifest.values))
        rows = warm_up(loaded, probe, self.manifest.root, self.signature)
        self.batches = same_together(loaded, rows, self.signature)
        self._engine = loaded
        self.metrics.load_seconds = time.perf_counter() - begin

    def begin(self) -> None:
        """Say yes from now on."""
        self.metrics.cold_start_seconds = age_s()
        self.ready = not self.draining

    def drain(self) -> None:
        """Say no to those who ask whether to send more, and go on answering."""
        self.draining, self.ready = True, False

    def require_loaded(self) -> engine.Engine:
        """Return the engine; raise Refusal 503 while the model is being loaded."""
        if self._engine is None:
            raise Refusal(503, "loading", "the model is being loaded; ask again in a moment")
        return self._engine

    def ask(self, rows: Rows) -> tuple[Predictions, float]:
        """Return predictions, and the seconds that they took; raise Refusal 503 while the model is being loaded."""
        loaded = self.require_loaded()
        begin = time.perf_counter()
        answers = engine.ask(loaded, rows)
        return answers, time.perf_counter() - begin

    def described(self) -> Record:
        """Return what is served, for people and for the tools that compare."""
        manifest = self.manifest
        return {
            "name": manifest["name"], "version": manifest["version"], "run_id": manifest["run_id"],
            "variant": self.settings.variant, "digest": manifest["digest"], "engine": manifest["engine"],
            "batches": self.batches, "task": manifest["task"], "classes": list(manifest.classes),
            "features": self.signature.names,
        }  # fmt: skip


def read_probe(manifest: Manifest) -> Probe:
    """Return the manifest's probe; raise StartError when it has none."""
    try:
        return Probe.read(manifest.values)
    except ValueError as error:
        raise StartError(f"{manifest.root}: the manifest {error}; build the image again") from None


def warm_up(loaded: engine.Engine, probe: Probe, root: Path, signature: Signature) -> Rows:
    """Predict the probe rows and return them; raise StartError when the answers are not those that are expected."""
    given = dict(zip(probe.columns, zip(*probe.rows, strict=True), strict=True))
    try:
        rows = signature.rows(given, len(probe.rows))
        problem = probe.compare(Answers.of(engine.ask(loaded, rows))).problem
    except Refusal as refusal:
        raise StartError(f"{root}: the model refuses its probe rows: {refusal.message}") from None
    if problem:
        raise StartError(
            f"{root}: the model does not answer its probe rows as it did when the image was built: {problem}; "
            "build the image again"
        )
    return rows


def same_together(loaded: engine.Engine, rows: Rows, signature: Signature) -> bool:
    """Tell whether rows, one of them without its texts, are answered to the bit alone as they are together.

    Sums may be taken in another order, and a column of nulls alone may be of another type. A model that leaves rows with
    nulls out of its answer is asked about each request alone as well.
    """
    some = Rows(count=min(rows.count, _ASKED_ALONE), values=[column[:_ASKED_ALONE] for column in rows.values])
    without_texts = _first_without(some, [column.type == "string" for column in signature.columns])
    together = _joined(some, without_texts)
    without_values = _joined(some, _first_without(some, [column.nullable for column in signature.columns]))
    try:
        parts = loaded.predict(together).parts([1] * together.count)
        if not all(loaded.predict(row).same(part) for row, part in zip(together.singles(), parts, strict=True)):
            return False
    except Exception:  # noqa: BLE001 - what the model refuses may cost the others their answer
        return False
    try:
        loaded.predict(without_values)
    except engine.NoAnswerError:
        return False
    except Exception:  # noqa: BLE001 - it refuses such a row, alone or not
        return True
    return True


def _first_without(rows: Rows, nulls: Sequence[bool]) -> Rows:
    values = [[None if null else column[0]] for column, null in zip(rows.values, nulls, strict=True)]
    return Rows(count=1, values=values)


def _joined(rows: Rows, more: Rows) -> Rows:
    values = [[*first, *second] for first, second in zip(rows.values, more.values, strict=True)]
    return Rows(count=rows.count + more.count, values=values)


def age_s() -> float:
    """Return the seconds since the process was started, as the kernel counts; since this module's import elsewhere."""
    try:
        ticks = int(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        return max(up - ticks / os.sysconf("SC_CLK_TCK"), 0.0)
    except (OSError, ValueError, IndexError):
        return time.time() - _BEGIN
