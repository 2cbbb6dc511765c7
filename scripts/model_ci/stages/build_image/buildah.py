"""Images by buildah, without a daemon: the same inputs give the same bytes, and so the same digest."""

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from model_ci.errors import ServiceError
from model_ci.image import repository
from model_ci.image.repository import Login, Name
from model_ci.stages.build_image.builder import ASK_PYTHON, Image, Trial, read_base
from model_ci.stages.build_image.context import CONTAINERFILE, USER, Base

_LINES: Final = 15
_GRACE_S: Final = 10
# Needs no namespaces, so it works inside a CI job's own container; a root that cannot be written is beyond it.
_RUN: Final = ("run", "--isolation", "chroot", "--cap-drop", "all")


class Buildah:
    """Builds where no engine runs."""

    name = "buildah"

    def __init__(self) -> None:
        self._words = ""

    def version(self) -> str:
        """Return buildah's version."""
        return _buildah("--version").split()[2]

    def base(self, reference: str) -> Base:
        """Pull the base and ask it for its Python."""
        name = Name.parse(reference, "build-image.base")
        _buildah("pull", "--quiet", "--policy", "ifnewer", *_tls(name), reference)
        digest = json.loads(_buildah("inspect", "--type", "image", reference))["FromImageDigest"]
        with _container(reference) as container:
            output = _buildah(*_RUN, container, "--", "python3", *ASK_PYTHON)
        return read_base(reference, str(digest), output)

    def build(self, context: Path, tag: str, cache: Name | None, login: Login | None) -> Image:
        """Build, every layer at the beginning of time, so that it is the same wherever it is made.

        Docker's own format would name the container that built it, another each time; OCI's has no health check.
        """
        _buildah(
            "bud", "--isolation", "chroot", "--format", "oci", "--layers", "--timestamp", "0", "--pull=never",
            "--tag", tag, "--file", str(context / CONTAINERFILE), str(context),
        )  # fmt: skip
        inspected = json.loads(_buildah("inspect", "--type", "image", tag))
        layers = inspected["OCIv1"]["rootfs"]["diff_ids"]
        return Image(
            id=f"sha256:{inspected['FromImageID']}",
            size_mb=round(_size(inspected["FromImageID"]), 3),
            layers=len(layers),
        )

    @contextmanager
    def trial(self, image: Image, run_id: str, environment: Mapping[str, str]) -> Iterator[Trial]:
        """Run it as its own user, without a capability, below its own root."""
        port = _free_port()
        given = {**environment, "MODEL_CI_HOST": "127.0.0.1", "MODEL_CI_PORT": str(port)}
        variables = [f"--env={name}={value}" for name, value in given.items()]
        with _container(_plain(image)) as container, tempfile.TemporaryFile("w+") as printed:
            command = ["buildah", *_RUN, f"--user={USER}:{USER}", *variables, container, "--"]
            process = subprocess.Popen(
                [*command, "python3", "-m", "model_ci.serving"], stdout=printed, stderr=subprocess.STDOUT
            )
            try:
                yield Trial(
                    host="127.0.0.1",
                    port=port,
                    isolation="chroot",
                    read_only=False,
                    alive=lambda: process.poll() is None,
                )
            finally:
                _end(process)
                printed.seek(0)
                lines = [line.strip() for line in printed.read().splitlines() if line.strip()]
                self._words = " | ".join(lines[-_LINES:]) or "it printed nothing"

    def last_words(self) -> str:
        """Return the end of what the service printed."""
        return self._words

    def push(self, image: Image, name: Name, tag: str, login: Login | None) -> str:
        """Push, again where the registry is busy; layers that it has are not sent."""
        target = f"docker://{name.registry}/{name.path}:{tag}"
        with tempfile.TemporaryDirectory() as scratch, repository.login_file(name, login) as variables:
            digest_file = Path(scratch) / "digest"
            command = ["push", "--quiet", "--digestfile", str(digest_file), *_tls(name), _plain(image), target]

            def attempt() -> tuple[str, str]:
                done = _attempt(command, variables)
                if done.returncode:
                    return _tail(done.stderr) or "it did not say why", ""
                return "", digest_file.read_text(encoding="utf-8").strip()

            # where it is asked too often, buildah itself has asked twenty times
            return repository.pushed(name, login, attempt, passing=(0, repository.AWAY))

    def scan(self, image: Image, folder: Path) -> str:
        """Write the image into a folder for syft to read."""
        place = folder / "oci"
        _buildah("push", "--quiet", _plain(image), f"oci:{place}:image")
        return f"oci-dir:{place}"


def _buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"buildah {arguments[0]}: {_tail(done.stderr or done.stdout)}")
    return done.stdout


def _attempt(arguments: Sequence[str], variables: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **variables}
    return subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False, env=environment)


@contextmanager
def _container(image: str) -> Iterator[str]:
    made = _buildah("from", "--pull-never", image).strip()
    try:
        yield made
    finally:
        _buildah("rm", made)


def _size(image: str) -> float:
    """Return the size in MiB of all that the image holds."""
    with _container(image) as container:
        root = _buildah("mount", container).strip()
        done = subprocess.run(["du", "-sxb", root], capture_output=True, text=True, check=False)
        _buildah("umount", container)
    if done.returncode:
        raise ServiceError(f"buildah: the image's size cannot be told: {done.stderr.strip()}")
    return int(done.stdout.split()[0]) / 2**20


def _plain(image: Image) -> str:
    """Return an image's id as buildah takes it."""
    return image.id.removeprefix("sha256:")


def _tls(name: Name) -> Sequence[str]:
    return ("--tls-verify=false",) if name.plain else ()


def _free_port() -> int:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        port: int = there.getsockname()[1]
        return port


def _end(process: "subprocess.Popen[Any]") -> None:
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(text: str) -> str:
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-_LINES:])
