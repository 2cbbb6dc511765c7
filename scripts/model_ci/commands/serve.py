"""serve: a run's model, or the champion, behind the service's own routes on this machine."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci import ci, model, registry
from model_ci.commands import check_config
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.run import find

if TYPE_CHECKING:
    from model_ci.data.table import Table
    from model_ci.stages.build_image.bundle import Explain, Source

_ENGINES: Final = ("auto", "onnx", "sklearn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `serve` takes."""
    check_config.add_arguments(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--run", default="", metavar="ID", help="the run whose model is served (the newest)")
    which.add_argument("--champion", action="store_true", help="serve the registered champion instead")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port on this machine (%(default)s)")
    parser.add_argument("--engine", choices=_ENGINES, default="auto", help="what runs the model (%(default)s)")
    parser.add_argument("--explain", action="store_true", help="answer /explain as well")
    parser.add_argument("--log", default="", metavar="FOLDER", help="write the prediction log there")


def main(arguments: argparse.Namespace) -> int:
    """Make what an image would hold, and serve it until interrupted."""
    from model_ci.data import table
    from model_ci.stages.build_image import bundle

    config = check_config.load(arguments)
    data = table.load(config.data, root=config.root)
    with tempfile.TemporaryDirectory(prefix="model-ci-serve-") as scratch:
        folder = Path(scratch)
        chosen = _champion(config, folder) if arguments.champion else _of_run(config, arguments.run)
        explain = _explain(config, data) if arguments.explain else None
        with _source(config, chosen) as source:
            made = bundle.create(source, data.holdout, folder / "srv", engine=arguments.engine, explain=explain)
        manifest = made.manifest
        print(
            f"{manifest['name']} of run {manifest['run_id'] or '-'} through {manifest['engine']}: {manifest['why']}",
            file=sys.stderr,
        )
        print(f"http://{arguments.host}:{arguments.port}/invocations, and /openapi.json for the rest", file=sys.stderr)
        return _serve(arguments, made.folder)


def _serve(arguments: argparse.Namespace, folder: Path) -> int:
    from model_ci.serving import server
    from model_ci.serving.refusal import StartError
    from model_ci.serving.settings import Settings

    log = Path(arguments.log) if arguments.log else None
    settings = Settings(
        manifest=folder / "manifest.json", host=arguments.host, port=arguments.port, prediction_log=log, drain_s=0
    )
    try:
        return server.serve(settings)
    except StartError as error:
        raise ConfigError(*error.problems) from None


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """The model that is served, before it is loaded."""

    folder: Path
    files: Mapping[str, str]
    run_id: str
    version: str | None = None


@contextmanager
def _source(config: Config, chosen: _Chosen) -> "Iterator[Source]":
    from model_ci.stages.build_image.bundle import Source

    name = f"version {chosen.version}" if chosen.version else f"run {chosen.run_id}"
    with model.opened(chosen.folder, config.model.positive, name) as loaded:
        yield Source(
            folder=chosen.folder, files=chosen.files, estimator=loaded.model, columns=loaded.columns,
            classes=loaded.classes, name=config.model.name, task=config.model.task, run_id=chosen.run_id,
            version=chosen.version, positive=config.model.positive,
        )  # fmt: skip


def _of_run(config: Config, run_id: str) -> _Chosen:
    run = find(config, run_id, stage="train", wanted_by="serve")
    if failed := run.failed():
        print(
            f"serve: run {run.id} was refused: {', '.join(failed)} failed; --champion serves what passed",
            file=sys.stderr,
        )
    trained = run.require("train", wanted_by="serve")["model"]
    folder = run.folder / trained["folder"]
    model.check(folder, trained["files"])
    return _Chosen(folder=folder, files=trained["files"], run_id=run.id)


def _champion(config: Config, scratch: Path) -> _Chosen:
    with registry.open_registry(config, config.root, in_ci=ci.context().in_ci) as store:
        version = store.champion()
        if version is None:
            raise ConfigError(f"--champion: {config.model.name} has none in {store.where}; register one first")
        folder = store.download(version, scratch / "champion")
    return _Chosen(folder=folder, files=model.hash_files(folder), run_id=version.run_id, version=version.number)


def _explain(config: Config, data: "Table") -> "Explain":
    from model_ci.explanation import explainer
    from model_ci.stages.build_image.bundle import Explain

    background = explainer.draw(data.train, explainer.BACKGROUND_ROWS, config.explain.seed)
    return Explain(background=background, seed=config.explain.seed, tolerance=config.explain.tolerance)
