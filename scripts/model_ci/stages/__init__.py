"""The stages: one package each, of the same name, with the functions `inputs` and `run` in `stage.py`.

They stand in two lines. The line `model` makes a model and brings it to a service: what is unchanged is skipped. The line
`operation` checks or changes the running service: every invocation starts a new run. `record` ends both.

`inputs(config, run)` returns what the stage's result depends on, as JSON; it is cheap, for it decides whether to run.
`run(config, run)` does the work and returns a Result; it prints nothing, never exits, and reads no CI variable.
A module may have `check(config)` too: what can be known to be wrong before any stage starts to work. And it may have
`observe(config, run)`: in what the world outside is no longer as the stage left it, None where it is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from model_ci.config import Config
from model_ci.frozen import dataclass
from model_ci.run import Result, Run

if TYPE_CHECKING:
    from model_ci.report.blocks import Block


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A place in the graph.

    `outputs` names what a CI job hands to the next: the output's name, and the dotted path to it in the section.
    """

    name: str
    does: str
    line: str = "model"  # or operation
    needs: tuple[str, ...] = ()  # stages without whose section it cannot run
    reads: tuple[str, ...] = ()  # stages whose section its inputs come from: it runs again when they do
    of_now: tuple[str, ...] = ()  # stages whose result must be what configuration and code give now: it judges that
    code: str | None = None  # runs code of the user; the section whose `code` narrows which files count
    judges: bool = False  # can fail
    writes: bool = False  # changes something outside the run's folder, so a pull request never runs it
    always: bool = False  # runs after a failure too
    amends: bool = False  # its section may be replaced: it records where the run went, not what came of it
    optional: bool = False  # part of a whole run only when its section's `in_run` says so
    leaves: tuple[str, ...] = ()  # folders beside the record; they count once the section names them
    outputs: Mapping[str, str] = field(default_factory=dict)

    def inputs(self, config: Config, run: Run) -> Mapping[str, object]:
        """Return what the stage's result depends on."""
        return self._function("inputs")(config, run)  # type: ignore[no-any-return]

    def run(self, config: Config, run: Run) -> Result:
        """Do the stage's work."""
        return self._function("run")(config, run)  # type: ignore[no-any-return]

    def check(self, config: Config) -> None:
        """Raise ConfigError for what would stop the stage later."""
        check = getattr(import_module(self._module), "check", None)
        if check:
            check(config)

    def observe(self, config: Config, run: Run) -> str | None:
        """Return in what the world outside is no longer as the stage left it; None where it is, or nothing is outside."""
        observe = getattr(import_module(self._module), "observe", None)
        return observe(config, run) if observe else None

    def blocks(self, section: Mapping[str, object]) -> "Iterable[Block]":
        """Return what the report shows of the stage's section."""
        return import_module(f"model_ci.stages.{self.attribute}.section").blocks(section)  # type: ignore[no-any-return]

    @property
    def attribute(self) -> str:
        """Its name in Python."""
        return self.name.replace("-", "_")

    @property
    def _module(self) -> str:
        return f"model_ci.stages.{self.attribute}.stage"

    def _function(self, name: str) -> Callable[[Config, Run], Any]:
        return getattr(import_module(self._module), name)  # type: ignore[no-any-return]


STAGES: Final = {
    stage.name: stage
    for stage in (
        Stage(name="check-data", does="Check the data against its contract and fix its version.", judges=True),
        Stage(name="train", does="Fit the model.", code="train", leaves=("model", "profile", "training-rows")),
        Stage(
            name="evaluate",
            does="Judge the model against its gates and the champion.",
            needs=("train",),
            reads=("train",),
            of_now=("train",),
            code="evaluate",
            judges=True,
            leaves=("quality",),
            outputs={"champion-version": "champion.version"},
        ),
        Stage(
            name="explain",
            does="Explain the model by its input columns, and judge what it looks at.",
            needs=("train",),
            reads=("train",),
            of_now=("train",),
            code="train",
            judges=True,
            optional=True,
            leaves=("explain",),
        ),
        Stage(
            name="register",
            does="Register the model and move the aliases.",
            needs=("train", "evaluate"),
            reads=("train", "evaluate"),
            writes=True,
            amends=True,  # the same run is registered once; the aliases may move without it
            outputs={"model-version": "version", "champion-version": "champion"},
        ),
        Stage(
            name="build-image",
            does="Build the image that serves the model, try it, and push it.",
            needs=("train",),
            reads=("train", "register"),
            code="train",
            judges=True,
            writes=True,
            optional=True,
            leaves=("image",),
            outputs={"image": "reference", "image-digest": "digest"},
        ),
        Stage(
            name="deploy",
            does="Bring the image to an environment, wholly or with a share of the requests.",
            needs=("build-image",),
            reads=("register", "build-image"),
            judges=True,
            writes=True,
            amends=True,  # each weight of a test is another deployment of the same run; the ledger has them all
            optional=True,
            outputs={"address": "address"},
        ),
        Stage(
            name="compare-variants",
            does="Decide whether the variant that is tried is promoted, rolled back, or kept running.",
            line="operation",
            judges=True,
            writes=True,  # where it may act
            outputs={"decision": "decision"},
        ),
        Stage(
            name="check-drift",
            does="Compare today's rows with those that the model learnt from.",
            line="operation",
            judges=True,
            leaves=("drift",),
            outputs={"drift-state": "state"},
        ),
        Stage(
            name="monitor",
            does="Watch a service by its demand, errors and latency, and by how good its predictions were.",
            line="operation",
            judges=True,
        ),
        Stage(
            name="retrain",
            does="Decide whether the model is trained again, and why.",
            line="operation",
            outputs={"retrain": "retrain", "reason": "reason", "approval": "approval"},
        ),
        Stage(
            name="promote",
            does="Make what serves elsewhere, or the challenger, the champion, in traffic and registry together.",
            line="operation",
            judges=True,
            writes=True,
            outputs={"address": "address"},
        ),
        Stage(
            name="rollback",
            does="Let an environment serve again what it served before.",
            line="operation",
            judges=True,
            writes=True,
            outputs={"address": "address"},
        ),
        Stage(
            name="record", does="Commit the run's record to the records branch.", writes=True, always=True, amends=True
        ),
    )
}


def whole(config: Config) -> list[str]:
    """Name the stages of a run that names none: the model's, but an optional one only when its section says so."""
    line = [stage for stage in STAGES.values() if stage.line == "model"]
    return [stage.name for stage in line if not stage.optional or getattr(config, stage.attribute).in_run]
