"""The process: uvicorn around the application, loading while it already answers, and ending without losing a request."""

import asyncio
import os
import signal
import sys
import threading
from typing import Final

from model_ci.serving.app import App
from model_ci.serving.log import PredictionLog
from model_ci.serving.manifest import Manifest
from model_ci.serving.refusal import StartError
from model_ci.serving.service import Service
from model_ci.serving.settings import Settings
from model_ci.serving.types import Value

_KEEP_ALIVE_S: Final = 75  # longer than the load balancers before it keep theirs
_LONGEST_ANSWER_S: Final = 60


def serve(settings: Settings) -> int:
    """Serve until SIGTERM; return the exit code. Raises StartError when the service must not start."""
    import uvicorn

    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    service = Service(settings, Manifest.read(settings.manifest))
    log = _open_log(settings, service)
    app = App(service, log)
    config = uvicorn.Config(
        app, host=settings.host, port=settings.port, http="httptools", ws="none", lifespan="off", loop="uvloop",
        log_level="warning", access_log=False, server_header=False, timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_LONGEST_ANSWER_S, backlog=2048,
    )  # fmt: skip
    made: Value = uvicorn.Server(config)
    process = _Process(made, service)
    made.handle_exit = process.signalled
    threading.Thread(target=process.load, name="load", daemon=True).start()
    try:
        made.run()
    except SystemExit:  # uvicorn's way to say so
        where = f"{settings.host}:{settings.port}"
        raise StartError(f"{where}: cannot listen there; free the port, or set MODEL_CI_PORT to another") from None
    finally:
        if log:
            log.close()
    if process.problem:
        raise process.problem
    return 0 if made.started else 1


class _Process:
    """What happens to a server: it loads, it is told to end."""

    def __init__(self, server: Value, service: Service) -> None:
        self.server = server
        self.service = service
        self.problem: BaseException | None = None

    def load(self) -> None:
        """Load the model beside the event loop; end the server when that fails."""
        try:
            self.service.load()
        except BaseException as error:  # noqa: BLE001 - the main thread tells it
            self.problem = error
            self.server.should_exit = True
            return
        self.service.begin()
        _say(f"ready: {self.service.manifest['name']} through {self.service.manifest['engine']}")

    def signalled(self, number: int, frame: object) -> None:
        """On the first signal take no new callers and go on for the drain time; on the second end now."""
        if self.service.draining:
            self.server.should_exit = True
            return
        self.service.drain()
        seconds = self.service.settings.drain_s
        _say(f"draining for {seconds:g} s: {signal.Signals(number).name}")
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, seconds, self._end)

    def _end(self) -> None:
        self.server.should_exit = True


def _open_log(settings: Settings, service: Service) -> PredictionLog | None:
    if settings.prediction_log is None:
        return None
    labels = (settings.variant, service.manifest["version"])
    log = PredictionLog(
        settings.prediction_log, service.signature.names, labels, settings.log_sample, settings.log_max_mb
    )
    try:
        log.start()
    except OSError as error:
        raise StartError(
            f"MODEL_CI_PREDICTION_LOG: {settings.prediction_log} cannot be written: {error.strerror}; "
            "mount a folder that the user of the process may write to"
        ) from None
    return log


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")  # a container's log is what it prints
    sys.stderr.flush()
