"""A container registry's repository, asked over its own protocol: may we push there, what does a tag point to."""

import base64
import json
import os
import re
import shutil
import tempfile
import urllib.parse
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci import web
from model_ci.errors import ConfigError, ServiceError
from model_ci.frozen import dataclass
from model_ci.types import Document
from model_ci.web import Answer

if TYPE_CHECKING:
    from model_ci.config import BuildImage

HUB: Final = "docker.io"
BUSY: Final = 429
AWAY: Final = 503
_HUB_API: Final = "registry-1.docker.io"
_HUB_LOGIN: Final = "https://index.docker.io/v1/"
_PLATFORM: Final = "MODEL_CI_PLATFORM_REGISTRY"  # what our action and template hand over
_TRIES: Final = 4
_PART: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_ACCEPT: Final = ", ".join((
    "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Login:
    """Who we are to a registry."""

    user: str
    password: str

    def as_header(self) -> str:
        """Return it as HTTP's basic authentication."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True, kw_only=True)
class Name:
    """What an image is called: registry, path, and a tag or a digest."""

    registry: str
    path: str
    tag: str = "latest"
    digest: str | None = None

    @classmethod
    def parse(cls, text: str, where: str) -> "Name":
        """Read a name as Docker writes it; raise ConfigError when it is none."""
        rest, _, digest = text.partition("@")
        head, slash, tail = rest.partition("/")
        named = bool(slash) and ("." in head or ":" in head or head == "localhost")
        registry, path = (head, tail) if named else (HUB, rest)
        path, colon, tag = path.partition(":")
        if not path or not all(_PART.fullmatch(p) for p in path.split("/")) or (colon and not _TAG.fullmatch(tag)):
            raise ConfigError(
                f"{where}: {text!r} is no image's name; write registry/path, in lower case, such as ghcr.io/acme/shop"
            )
        if registry == HUB and "/" not in path:
            path = f"library/{path}"
        return cls(registry=registry, path=path, tag=tag or "latest", digest=digest or None)

    @property
    def plain(self) -> bool:
        """Whether it is spoken to without TLS, as Docker does with registries on this machine."""
        return bool(re.fullmatch(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?", self.registry))

    @property
    def repository(self) -> str:
        """The name without tag and digest, as Docker writes it."""
        return self.path if self.registry == HUB else f"{self.registry}/{self.path}"

    @property
    def url(self) -> str:
        """The address of its repository's API."""
        host = _HUB_API if self.registry == HUB else self.registry
        return f"{'http' if self.plain else 'https'}://{host}/v2/{self.path}"


class Repository:
    """A repository, seen with the rights of a login; every method raises ServiceError when it is refused."""

    def __init__(self, name: Name, login: Login | None) -> None:
        self.name, self.login = name, login
        self._token: str | None = None

    def digest(self, reference: str | None = None) -> str | None:
        """Return the digest that a tag points to, None when there is no such image."""
        target = reference or self.name.digest or self.name.tag
        answer = self._ask("HEAD", f"{self.name.url}/manifests/{target}", "pull", allowed=(404,))
        return None if answer.status == 404 else str(answer.headers.get("docker-content-digest"))

    def manifest(self, reference: str) -> Document:
        """Return the manifest of a tag or digest."""
        answer = self._ask("GET", f"{self.name.url}/manifests/{reference}", "pull")
        document: Document = json.loads(answer.body)
        return document

    def tag(self, digest: str, tag: str) -> None:
        """Let a tag point to an image that is there: its manifest is sent again, byte by byte, under that name."""
        answer = self._ask("GET", f"{self.name.url}/manifests/{digest}", "pull,push")
        sent = _Body(content=answer.body, type=str(answer.headers.get("content-type")))
        self._ask("PUT", f"{self.name.url}/manifests/{tag}", "pull,push", body=sent)

    def require_push(self) -> None:
        """Begin an upload, and give it up: whoever may not, learns it before anything is built."""
        answer = self._ask("POST", f"{self.name.url}/blobs/uploads/", "pull,push")
        if place := answer.headers.get("location"):
            try:
                self._ask("DELETE", urllib.parse.urljoin(self.name.url, place), "pull,push", allowed=(404, 405))
            except ServiceError:
                return  # it expires by itself

    def _ask(
        self, method: str, url: str, rights: str, allowed: tuple[int, ...] = (), body: "_Body | None" = None
    ) -> Answer:
        """Ask, again where the registry is busy or away; get a token where one is wanted."""
        try:
            answer = _send(method, url, self._authorization(url), body)
            if answer.status == 401 and self._renew(answer, rights):
                answer = _send(method, url, self._authorization(url), body)
        except web.NoAnswerError as error:
            raise ServiceError(refusal(self.name, 0, str(error), self.login is not None)) from None
        if 200 <= answer.status < 300 or answer.status in allowed:
            return answer
        raise ServiceError(refusal(self.name, answer.status, _problem(answer), self.login is not None))

    def _authorization(self, url: str) -> str | None:
        if urllib.parse.urlsplit(url).netloc != urllib.parse.urlsplit(self.name.url).netloc:
            return None  # an upload may go to another host, which has no business with our password
        return self._token or (self.login.as_header() if self.login else None)

    def _renew(self, answer: Answer, rights: str) -> bool:
        """Get a token as the refusal describes; tell whether there is one to be had."""
        challenge = answer.headers.get("www-authenticate", "")
        values = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if not challenge.lower().startswith("bearer ") or "realm" not in values:
            return False
        query = {"service": values.get("service", ""), "scope": f"repository:{self.name.path}:{rights}"}
        url = f"{values['realm']}?{urllib.parse.urlencode(query)}"
        if not self.name.plain and not url.startswith("https://"):
            return False
        given = _send("GET", url, self.login.as_header() if self.login else None)
        if given.status != 200:
            return False
        document = json.loads(given.body)
        self._token = f"Bearer {document.get('token') or document.get('access_token')}"
        return True


class _PassingError(ServiceError):
    """A push that may go through in a moment."""


@dataclass(frozen=True, kw_only=True)
class _Body:
    content: bytes
    type: str


def _problem(answer: Answer) -> str:
    """Return what went wrong, in the registry's words."""
    try:
        errors = json.loads(answer.body)["errors"]
        return "; ".join(str(e.get("message") or e.get("code")) for e in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        text = " ".join(answer.body.decode(errors="replace").split())
        return "" if text.startswith("<") else text[:200]


def refusal(name: Name, status: int, text: str, known: bool) -> str:
    """Say what a registry's refusal means, and what to do."""
    words = f" ({text})" if text else ""
    where = f"{name.registry}/{name.path}"
    match status:
        case 401 if known:
            return f"{where}: the registry does not take the login (401){words}; see that user and password are right and not expired"
        case 401:
            return f"{where}: the registry wants a login (401){words}; set the variables that build-image.login names, or use `docker login`"
        case 403:
            return (
                f"{where}: the registry does not let this login push here (403){words}; give the job packages: write on "
                "GitHub, the role Developer on GitLab, or name another repository"
            )
        case 404:
            return f"{where}: the registry knows no such repository (404){words}; create it, or correct build-image.repository"
        case 0:
            return f"{where}: the registry cannot be reached{words}; see its address, the network, and whether it speaks TLS"
        case 429:
            return f"{where}: the registry is asked too often (429){words}; log in, or try again later"
    return f"{where}: the registry answered {status}{words}, tried {_TRIES} times; try again later"


def pushed(
    name: Name,
    login: Login | None,
    attempt: Callable[[], tuple[str, str]],
    passing: Collection[int] = (0, AWAY, BUSY),
) -> str:
    """Return the digest of a push; an attempt returns what went wrong, and the digest when nothing did.

    Tries again where what stopped it is of the kinds that pass. Raises ServiceError.
    """

    def once() -> str:
        output, digest = attempt()
        if digest:
            return digest
        number = status(output)
        if number is None:
            raise ServiceError(f"{name.repository}: the push failed: {output}")
        problem = refusal(name, number, output, login is not None)
        raise _PassingError(problem) if number in passing else ServiceError(problem)

    return web.repeat(once, _PassingError, _TRIES, web.sleep)


def status(text: str) -> int | None:
    """Return the HTTP status that a builder's complaint about a registry stands for; 0 where it got no answer."""
    patterns = {
        401: r"\b401\b|unauthorized|authentication required|no basic auth", 403: r"\b403\b|denied|forbidden",
        404: r"\b404\b|not found|name unknown", BUSY: r"\b429\b|too ?many ?requests", AWAY: r"\b50[0-9]\b",
        0: r"connection re(fused|set)|no such host|dial tcp|EOF|time(d )?out|TLS handshake|temporarily",
    }  # fmt: skip
    return next((number for number, p in patterns.items() if re.search(p, text, re.IGNORECASE)), None)


def login(name: Name, settings: "BuildImage") -> Login | None:
    """Return who we are to a registry; a password is only ever sent to the registry it is meant for.

    To that of build-image.repository by the variables of build-image.login, to the CI platform's own by the job's
    token, to any other as `docker login` left it.
    """
    user, password = settings.login.user, settings.login.password
    if settings.repository and Name.parse(settings.repository, "build-image.repository").registry == name.registry:
        if os.environ.get(user) and os.environ.get(password):
            return Login(user=os.environ[user], password=os.environ[password])
        if os.environ.get(password):
            raise ConfigError(f"build-image.login: {password} is set and {user} is not; set both")
    platform = [os.environ.get(f"{_PLATFORM}{part}") for part in ("", "_USER", "_PASSWORD")]
    if platform[0] == name.registry and platform[1] and platform[2]:
        return Login(user=platform[1], password=platform[2])
    return _stored(name.registry)


def _stored(registry: str) -> Login | None:
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        entries = json.loads((folder / "config.json").read_bytes()).get("auths", {})
    except (OSError, ValueError):
        return None
    entry = entries.get(_HUB_LOGIN if registry == HUB else registry) or entries.get(f"https://{registry}") or {}
    user, _, password = base64.b64decode(entry.get("auth", "")).decode(errors="replace").partition(":")
    return Login(user=user, password=password) if user and password else None


@contextmanager
def login_file(name: Name, who: Login | None) -> Iterator[Mapping[str, str]]:
    """Give the variables by which other programs log in: a file that only we can read, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="model-ci-login-"))
    try:
        if who is None:
            yield {}
            return
        file = folder / "config.json"
        file.touch(0o600)
        auth = who.as_header().removeprefix("Basic ")
        file.write_text(json.dumps({"auths": {_HUB_LOGIN if name.registry == HUB else name.registry: {"auth": auth}}}))
        yield {"DOCKER_CONFIG": str(folder), "REGISTRY_AUTH_FILE": str(file)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _send(method: str, url: str, authorization: str | None, body: _Body | None = None) -> Answer:
    headers = {"Accept": _ACCEPT, "User-Agent": "model-ci"} | ({"Content-Type": body.type} if body else {})
    if authorization:
        headers["Authorization"] = authorization
    # An upload that is begun twice does no harm: the first one expires.
    return web.Client(tries=_TRIES, repeat_post=True).ask(method, url, headers, body.content if body else None)
