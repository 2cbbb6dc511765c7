"""deploy, promote, rollback: traffic, aliases and ledger move together, back when they must, whoever dies on the way."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.conftest import Project
from tests.image.registries import before
from tests.image.standin import complete
from tests.targets.docker_service import BALANCER, ended, the_images  # noqa: F401 - a fixture
from tests.targets.load import Load, connect, post

from model_ci import config as configuration
from model_ci import git, registry
from model_ci.image.repository import Name, Repository
from model_ci.registry import registration
from model_ci.release import ledger
from model_ci.run import Run
from model_ci.targets import open_target
from model_ci.targets.docker.balancer import Balancer

pytestmark = pytest.mark.docker
Command = Callable[..., Any]


class Shop:
    """A project with two environments on Docker, whose versions are served by a tiny stand-in of their images.

    `images` are names with digests in a repository, or ids of images that only the engine has.
    """

    def __init__(self, project: Project, images: dict[str, str], command: Command) -> None:
        self.project, self.images, self.command = project, images, command
        docker = {"balancer": BALANCER, "drain_s": 5}
        environments = {
            "staging": {"replicas": 1, "timeout_s": 30, "docker": docker},
            "production": {"replicas": 1, "timeout_s": 30, "source": "staging", "docker": docker},
        }
        project.configure(
            model={"name": f"shop-{os.urandom(3).hex()}", "task": "binary"},
            deploy={"environments": environments, "smoke": {"requests": 4}},
            register={"promote": "manual"},
        )
        self.name = self.config.model.name

    @property
    def config(self) -> configuration.Config:
        return configuration.load(self.project.root / "model-ci.yaml")

    def make(self, mode: str, *settings: str) -> None:
        """Train and register a version, and let an image stand for it that was built elsewhere."""
        stages = ["--stages", "train,evaluate,register"]
        answer = self("run", *stages, "--set", f"train.parameters.C={1 + len(self.project.runs())}", *settings)
        assert answer.code == 0, answer.text
        complete(Run.open(self.project.runs()[-1]), self.images[mode])

    def __call__(self, *arguments: str) -> Any:
        return self.command(self.project.root, *arguments)

    def section(self, stage: str) -> dict[str, Any]:
        return self.project.record()["stages"][stage]  # type: ignore[no-any-return]

    def address(self, environment: str) -> str:
        address = open_target(self.config, environment).address()
        assert address
        return address

    def serves(self, environment: str) -> dict[str, int]:
        """The versions by their weights."""
        now = open_target(self.config, environment).current()
        return {str(variant.version): variant.weight for variant in now.variants} if now else {}

    def answers(self, environment: str) -> str:
        return post(connect(self.address(environment).removeprefix("http://")), {})[0]

    def actions(self, environment: str) -> list[str]:
        return [entry.action for entry in ledger.read(self.config, environment)]

    def tagged(self) -> list[str | None]:
        """What the tags champion and previous of the images point to, as far as these are known."""
        there = Repository(Name.parse(self.images["one"].partition("@")[0], "test"), None)
        known = {image.partition("@")[2]: mode for mode, image in self.images.items()}
        return [known.get(there.digest(tag) or "") for tag in ("champion", "previous")]

    def champion(self) -> str | None:
        found = registry.peek(self.config, self.project.root, in_ci=False)
        return found.split()[0] if found else None


@contextmanager
def pushed(client: Any, images: dict[str, str], repository: str) -> Iterator[dict[str, str]]:
    """The images' names, with digests, in a repository."""
    there = Repository(Name.parse(repository, "test"), None)
    for mode, image in images.items():
        client.api.tag(image, repository, mode)
        client.api.push(repository, mode)
    yield {mode: f"{repository}@{there.digest(mode)}" for mode in images}
    for mode in images:
        client.images.remove(f"{repository}:{mode}", force=True)


@pytest.fixture(name="shop")
def a_shop(project: Project, images: dict[str, str], command: Command, docker_engine: Any) -> Iterator[Shop]:
    client = docker_engine.client
    with pushed(client, images, f"{docker_engine.registry}/acme/shop-{os.urandom(3).hex()}") as names:
        made = Shop(project, names, command)
        yield made
        label = {"label": f"model-ci.model={made.name}"}
        for container in client.containers.list(all=True, filters=label):
            container.remove(force=True, v=True)
        for network in client.networks.list(filters=label):
            network.remove()


def test_it_says_what_it_would_do_does_it_and_does_it_once(shop: Shop) -> None:
    shop.make("one")
    told = shop("deploy", "--dry-run")
    assert told.code == 0, told.text
    assert "start 1 replica of version 1" in told.out
    assert shop.serves("staging") == {}

    answer = shop("deploy")
    assert answer.code == 0, answer.text
    assert "staging serves version 1 100 %" in answer.out
    section = shop.section("deploy")
    assert (section["verdict"], section["rolled_back"], section["aliases"]) == ("passed", False, None)
    assert section["smoke"]["compared"] == 4
    assert section["plan"] and section["steps"]
    (entry,) = ledger.read(shop.config, "staging")
    assert (entry.action, entry.run_id) == ("deploy", shop.project.record()["run_id"])
    assert entry.deployment == open_target(shop.config, "staging").current()
    assert entry.actor

    assert shop("deploy", "--dry-run").out == "nothing to do: the environment is as it should be\n"
    assert "unchanged" in shop("deploy").err
    assert shop.actions("staging") == ["deploy"]

    shop.make("wrong")
    answer = shop("deploy")
    assert answer.code == 3, answer.text
    assert "prediction of row 0: 0 instead of 1" in answer.text
    section = shop.section("deploy")
    assert (section["verdict"], section["rolled_back"], section["ledger"]) == ("failed", True, None)
    assert shop.serves("staging") == {"1": 100}
    assert shop.actions("staging") == ["deploy"]


def test_from_staging_to_production_and_back(shop: Shop) -> None:
    assert "nothing serves in staging; deploy there first" in shop("promote").text
    shop.make("one")
    assert shop("deploy").code == 0
    answer = shop("promote", "--reason", "the shop opens")
    assert answer.code == 0, answer.text
    assert ledger.read(shop.config, "production")[0].reason == "the shop opens"
    assert shop.serves("production") == {"1": 100}
    assert shop.champion() == "1"
    refused = shop("rollback")
    assert refused.code == 2
    assert "nothing but version 1 ever served in production" in refused.text

    shop.make("two")
    assert shop("deploy", "--weight", "10").code == 0
    assert shop.serves("staging") == {"1": 90, "2": 10}
    unclear = shop("promote")
    assert unclear.code == 2
    assert "staging serves two versions, 1 (90 %), 2 (10 %); say which with --version" in unclear.text
    assert shop("deploy", "--weight", "60").code == 0
    assert shop.serves("staging") == {"1": 40, "2": 60}
    assert shop.actions("staging") == ["deploy", "deploy", "weights"]

    planned = shop("promote", "--version", "2", "--dry-run")
    assert "make version 2 the champion in the registry" in planned.out, planned.text
    assert f"tag {shop.images['two']} as champion" in planned.out
    assert shop.tagged() == ["one", None]
    assert shop("promote", "--version", "2").code == 0
    assert (shop.serves("production"), shop.champion(), shop.answers("production")) == ({"2": 100}, "2", "two")
    assert shop.section("promote")["aliases"] == {"champion": "2", "previous": "1"}
    assert shop.section("promote")["image_tags"] == {
        "champion": shop.images["two"].partition("@")[2], "previous": shop.images["one"].partition("@")[2],
    }  # fmt: skip
    assert shop.tagged() == ["two", "one"]
    assert shop.section("promote")["source"] == "staging"

    answer = shop("rollback")
    assert answer.code == 0, answer.text
    assert (shop.serves("production"), shop.champion(), shop.answers("production")) == ({"1": 100}, "1", "one")
    assert shop.section("rollback")["aliases"] == {"champion": "1", "previous": "2"}
    assert shop.tagged() == ["one", "two"]
    assert shop.actions("production") == ["promote", "promote", "rollback"]

    answer = shop("rollback", "--environment", "staging")  # the challenger goes, and no alias moves
    assert answer.code == 0, answer.text
    assert shop.serves("staging") == {"1": 100}
    assert (shop.section("rollback")["aliases"], shop.section("rollback")["image_tags"]) == (None, None)
    assert shop.tagged() == ["one", "two"]


def test_an_image_that_only_the_engine_has_gets_no_tags(shop: Shop, images: dict[str, str]) -> None:
    shop.images = images
    shop.make("one")
    assert shop("deploy").code == 0
    answer = shop("promote")
    assert answer.code == 0, answer.text
    assert (shop.champion(), shop.section("promote")["image_tags"]) == ("1", None)


def test_where_the_registry_refuses_it_is_said_what_is_done_and_what_is_not(shop: Shop, docker_engine: Any) -> None:
    forbidden = ("", "")

    def judge(method: str, path: str, headers: Any) -> tuple[int, dict[str, str], bytes] | None:
        return (403, {}, b"") if method == forbidden[0] and path.endswith(forbidden[1]) else None

    with before(docker_engine.registry, judge) as address:
        shop.images = {mode: name.replace(docker_engine.registry, address) for mode, name in shop.images.items()}
        for mode in ("one", "two"):
            shop.make(mode)
            assert shop("deploy").code == 0
            if mode == "one":
                assert shop("promote").code == 0

        forbidden = ("POST", "/blobs/uploads/")
        answer = shop("promote")
        assert answer.code == 5, answer.text
        assert "does not let this login push here (403)" in answer.err
        assert (shop.serves("production"), shop.champion(), shop.tagged()) == ({"1": 100}, "1", ["one", None])

        forbidden = ("PUT", "/manifests/champion")
        answer = shop("promote")
        assert answer.code == 5, answer.text
        done = "in production, done: the traffic, the registry's aliases; not done: the tags of the images, the ledger"
        assert done in answer.err
        assert (shop.serves("production"), shop.champion(), shop.tagged()) == ({"2": 100}, "2", ["one", "one"])
        assert shop.actions("production") == ["promote"]

        forbidden = ("", "")
        answer = shop("promote")
        assert answer.code == 0, answer.text
        assert shop.tagged() == ["two", "one"]
        assert shop.actions("production") == ["promote", "promote"]


def test_what_was_removed_is_in_the_ledger_and_comes_back(shop: Shop) -> None:
    for mode in ("one", "two"):
        shop.make(mode)
        assert shop("deploy").code == 0
        assert shop("promote").code == 0
    remove = ("remove", "--environment", "production", "--reason", "the shop closes")
    assert shop_dies(shop, remove, (git.Branch, "extend", 1))
    assert shop.serves("production") == {}
    assert shop.actions("production") == ["promote", "promote"]
    answer = shop(*remove)
    assert answer.code == 0, answer.text
    entry = ledger.read(shop.config, "production")[-1]
    assert (entry.action, entry.reason, entry.deployment) == ("remove", "the shop closes", None)
    assert entry.previous == ledger.read(shop.config, "production")[-2].deployment
    assert entry.actor
    assert "nothing served there" in shop(*remove).out
    assert shop.actions("production") == ["promote", "promote", "remove"]

    assert shop("rollback").code == 0
    assert (shop.serves("production"), shop.answers("production")) == ({"2": 100}, "two")
    assert shop("rollback").code == 0
    assert shop.serves("production") == {"1": 100}
    assert shop.actions("production") == ["promote", "promote", "remove", "rollback", "rollback"]


def test_what_the_policy_forbids_changes_nothing(shop: Shop) -> None:
    shop.make("one")
    answer = shop("deploy", "--set", "deploy.environments.staging.policy={only_ci: true, approval: production}")
    assert answer.code == 3, answer.text
    assert "only_ci: this is nobody's CI job" in answer.text
    assert "approval: the job runs in no protected environment; needed: production" in answer.text
    assert shop.serves("staging") == {}
    assert shop.actions("staging") == []


# Steps of the change itself; those inside the target have their own test.
STEPS = [
    (Balancer, "shift", 1), (Balancer, "dismiss", 1), (registration, "promote", 1), (registration, "_promote", 1),
    (Repository, "tag", 1), (Repository, "tag", 2), (git.Branch, "extend", 1),
]  # fmt: skip


def test_killed_at_every_step_production_serves_and_the_same_order_completes(shop: Shop) -> None:
    shop.make("one")
    assert shop("deploy").code == 0
    assert shop("promote").code == 0
    shop.make("two")
    assert shop("deploy").code == 0
    killed = 0
    with Load(shop.address("production"), keeping=1) as load:
        for order, wanted in ((("promote",), "2"), (("rollback",), "1")):
            for step in STEPS:
                assert shop_dies(shop, order, step), f"{step[1]} was never reached"
                load.until(10)
                killed += 1
            assert not shop_dies(shop, order, None)
            assert (shop.serves("production"), shop.champion()) == ({wanted: 100}, wanted)
            assert shop.actions("production")[-1] == order[0]
    assert load.failures == []
    assert killed == 2 * len(STEPS)
    assert shop.actions("production") == ["promote", "promote", "rollback"]


def shop_dies(shop: Shop, order: tuple[str, ...], step: tuple[Any, str, int] | None) -> bool:
    """Give the order in a process of its own that is killed when it comes to the step; tell whether it was."""
    child = os.fork()
    if child:
        return not ended(child)
    try:
        if step:
            setattr(step[0], step[1], deadly(getattr(step[0], step[1]), step[2]))
        answer = shop(*order)
        print(answer.text)
        os._exit(answer.code)
    except BaseException:
        os._exit(1)


def deadly(step: Callable[..., Any], last: int) -> Callable[..., Any]:
    """Return a step that is done as it is, and kills the process before it is done for the `last` time."""
    calls = iter(range(last))

    def do(*arguments: Any, **named: Any) -> Any:
        if next(calls) == last - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments, **named)

    return do
