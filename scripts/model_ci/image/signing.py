"""An image's signature, by cosign: with a key, or with the identity that a CI platform gives its job."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from model_ci.config import Signature
from model_ci.errors import ConfigError, Exit, ModelCIError, ServiceError
from model_ci.image import repository
from model_ci.image.repository import Login, Name
from model_ci.types import Document

_NO_KEY = ("no matching signatures", "no signatures found", "none of the expected identities", "invalid signature")


class UnsignedError(ModelCIError):
    """The image is not signed by whom it must be signed: a no, not a failure."""

    exit_code = Exit.NO


def required(settings: Signature) -> bool:
    """Tell whether images are to be signed."""
    return settings.key is not None or settings.keyless


def check(settings: Signature) -> None:
    """Raise ConfigError for what would stop the signing after the image was pushed."""
    if not required(settings):
        return
    _program()
    if settings.key and "://" not in settings.key and not os.environ.get(settings.key):
        raise ConfigError(
            f"build-image.signature.key: the environment has no {settings.key}; set it to the private key that "
            "`cosign generate-key-pair` makes, and its password as COSIGN_PASSWORD"
        )


def sign(reference: str, settings: Signature, login: Login | None) -> Document:
    """Sign an image that was pushed, by its digest; return what the record says. Raises ServiceError."""
    name = Name.parse(reference, "image")
    command = ["sign", "--yes", *_plain(name)]
    if settings.key:
        command += ["--key", _key(settings.key), f"--tlog-upload={str(settings.transparency_log).lower()}"]
    code, output = _cosign([*command, reference], name, login)
    if code:
        raise ServiceError(
            f"build-image: cosign cannot sign {reference}: {output}; the image is pushed and unsigned, and will not be taken "
            "where a signature is required; when the cause is gone, run `model-ci build-image` again"
        )
    return {
        "by": "key" if settings.key else "identity",
        "transparency_log": settings.transparency_log or not settings.key,
    }


def verify(reference: str, settings: Signature, root: Path, login: Login | None = None) -> list[Document]:
    """Return what the valid signatures of an image, named by its digest, say; `root` holds the public key's file.

    Raises UnsignedError where there is none, ConfigError when nothing says who must have signed, ServiceError when the
    registry cannot be asked.
    """
    name = Name.parse(reference, "image")
    if name.digest is None:
        raise ConfigError(f"{reference}: is no digest; a tag may point elsewhere a moment later")
    code, output = _cosign(["verify", "--output=json", *_plain(name), *_who(settings, root), reference], name, login)
    if code == 0:
        signatures: list[Document] = json.loads(output.strip().splitlines()[-1])
        return signatures
    if any(words in output for words in _NO_KEY):
        raise UnsignedError(f"{reference}: has no valid signature: {output}")
    raise ServiceError(f"{reference}: its signature cannot be checked: {output}")


def _who(settings: Signature, root: Path) -> Sequence[str]:
    if settings.public_key:
        key = settings.public_key if "://" in settings.public_key else str(root / settings.public_key)
        if "://" not in key and not Path(key).is_file():
            raise ConfigError(
                f"build-image.signature.public_key: no file {key}; commit what `cosign public-key` prints"
            )
        return ("--key", key, f"--insecure-ignore-tlog={str(not settings.transparency_log).lower()}")
    if settings.identity and settings.issuer:
        return ("--certificate-identity-regexp", settings.identity, "--certificate-oidc-issuer", settings.issuer)
    raise ConfigError(
        "build-image.signature: nothing says who must have signed; set public_key, or identity and issuer"
    )


def _key(key: str) -> str:
    return key if "://" in key else f"env://{key}"


def _plain(name: Name) -> Sequence[str]:
    return ("--allow-http-registry", "--allow-insecure-registry") if name.plain else ()


def _program() -> str:
    program = shutil.which("cosign")
    if not program:
        raise ConfigError("build-image.signature: there is no cosign on PATH; install it")
    return program


def _cosign(arguments: Sequence[str], name: Name, login: Login | None) -> tuple[int, str]:
    """Return the exit code, and what cosign printed; its answer is the last line."""
    with repository.login_file(name, login) as variables:
        environment = {**os.environ, "COSIGN_PASSWORD": os.environ.get("COSIGN_PASSWORD", ""), **variables}
        done = subprocess.run(
            [_program(), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    return (done.returncode, done.stdout if done.returncode == 0 else " ".join(done.stderr.split()))
