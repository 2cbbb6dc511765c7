"""A GitHub and a GitLab on this machine: as much of their HTTP APIs as commenting needs, and their bad days."""

import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ME = {"github": {"id": 41, "login": "github-actions[bot]", "type": "Bot"}, "gitlab": {"id": 41, "username": "bot"}}
PEOPLE = {"id": 1, "login": "ann", "type": "User", "username": "ann"}
HEAD = {"repository": "mallory/shop", "branch": "try", "sha": "a" * 40}


@dataclass
class Failure:
    """An answer that stands in for the right one; `done` ones come after the work was done."""

    status: int
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""
    done: bool = False
    raw: bytes | None = None


@dataclass
class Forge:
    """The state of the service, and what was asked of it."""

    kind: str
    token: str = "right-token"
    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    beats: list[str] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[tuple[str, bytes]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens_elsewhere: list[str] = field(default_factory=list)
    url: str = ""
    who_am_i: bool = True

    def say(self, body: str, *, author: dict[str, Any] | None = None) -> None:
        """Add a comment, by somebody else unless told otherwise."""
        made = {"id": len(self.comments) + 1, "body": body}
        self.comments.append(made | {"user": author or PEOPLE, "author": author or PEOPLE})

    def open_issue(self, title: str, body: str, *, author: dict[str, Any] | None = None, **more: Any) -> None:
        """Open an issue, by somebody else unless told otherwise."""
        number = len(self.issues) + 1
        made = {"number": number, "iid": number, "title": title, "body": body, "description": body, "state": "open"}
        self.issues.append(made | {"user": author or PEOPLE, **more})

    def states(self) -> dict[str, str]:
        """Return the state of each issue, by its title; the newest counts."""
        return {issue["title"]: issue["state"] for issue in self.issues}

    @property
    def mine(self) -> list[str]:
        """The comments of the token's owner."""
        return [comment["body"] for comment in self.comments if comment["user"] == ME[self.kind]]

    def open_pull(self, number: int = 7, **head: str) -> None:
        """Open a pull request from a fork."""
        seen = HEAD | head
        repo = {"full_name": seen["repository"]}
        self.pulls.append({"number": number, "head": {"ref": seen["branch"], "sha": seen["sha"], "repo": repo}})

    def leave(self, name: str, **files: bytes) -> None:
        """Leave an artifact of the run."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, content in files.items():
                archive.writestr(file.replace("_json", ".json"), content)
        self.artifacts.append((name, buffer.getvalue()))


@contextmanager
def serve(kind: str) -> Iterator[Forge]:
    """Run the service on a port of its own."""
    forge = Forge(kind)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"forge": forge}))
    forge.url = f"http://127.0.0.1:{server.server_address[1]}" + ("/api/v4" if kind == "gitlab" else "")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    forge: Forge

    def do_GET(self) -> None:
        self._handle("GET")

    def do_POST(self) -> None:
        self._handle("POST")

    def do_PATCH(self) -> None:
        self._handle("PATCH")

    def do_PUT(self) -> None:
        self._handle("PUT")

    def log_message(self, *_: Any) -> None:
        pass

    def _handle(self, method: str) -> None:
        address = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        self.forge.asked.append((method, self.path))
        if address.path.startswith("/blob/"):
            self.forge.tokens_elsewhere += [v for k, v in self.headers.items() if self.forge.token in v]
            self._send(200, self.forge.artifacts[int(address.path.rpartition("/")[2])][1])
            return
        failure = next((f for f in self.forge.failures if f.method == method), None)
        if failure:
            self.forge.failures.remove(failure)
            if failure.done:
                self._answer(method, address.path, parse_qs(address.query), body)
            content = json.dumps({"message": failure.message}).encode() if failure.raw is None else failure.raw
            self._send(failure.status, content, failure.headers)
            return
        if address.path.startswith("/ping/"):
            self.forge.beats.append(self.path)
            self._send(200, b"OK")
            return
        if address.path == "/hook":
            self.forge.messages.append(body["text"])
            self._send(200, b"ok")
            return
        given = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or ""
        if self.forge.token not in given:
            self._send(401, json.dumps({"message": f"Bad credentials {given}"}).encode())
            return
        status, content, headers = self._answer(method, address.path, parse_qs(address.query), body)
        self._send(status, content if isinstance(content, bytes) else json.dumps(content).encode(), headers)

    def _answer(
        self, method: str, path: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        forge = self.forge
        if path.endswith("/user"):
            return (200, ME[forge.kind], {}) if forge.who_am_i else (403, {"message": "not by integration"}, {})
        if path.endswith("/pulls"):
            owner, _, branch = query["head"][0].partition(":")
            found = [
                p for p in forge.pulls
                if p["head"]["ref"] == branch and p["head"]["repo"]["full_name"].partition("/")[0] == owner
            ]  # fmt: skip
            return 200, found, {}
        if path.endswith("/artifacts"):
            names = [{"id": i, "name": name, "expired": False} for i, (name, _) in enumerate(forge.artifacts)]
            return 200, {"total_count": len(names), "artifacts": names}, {}
        if path.endswith("/zip"):
            elsewhere = forge.url.replace("127.0.0.1", "localhost")
            return 302, {}, {"Location": f"{elsewhere}/blob/{path.split('/')[-2]}"}
        if re.search(r"/issues(/\d+)?$", path):
            return self._issues(method, path, query, body)
        if path.endswith(("/comments", "/notes")):
            return self._comments(method, path, query, body)
        if method in ("PATCH", "PUT"):
            (found,) = [c for c in forge.comments if c["id"] == int(path.rpartition("/")[2])]
            found["body"] = body["body"]
            return 200, found, {}
        return 404, {"message": "Not Found"}, {}

    def _issues(
        self, method: str, path: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        forge, text = self.forge, "body" if self.forge.kind == "github" else "description"
        if method == "POST":
            forge.open_issue(body["title"], body[text], author=ME[forge.kind])
            return 201, forge.issues[-1], {}
        if method != "GET":
            issue = forge.issues[int(path.rpartition("/")[2]) - 1]
            closed = body.get("state") == "closed" or body.get("state_event") == "close"
            issue |= {"body": body[text], "description": body[text], "state": "closed" if closed else issue["state"]}
            return 200, issue, {}
        mine = "created_by_me" in query.get("scope", [])
        listed = [i for i in forge.issues if i["state"] == "open" and (not mine or i["user"] == ME[forge.kind])]
        return self._page(listed, path, query)

    def _comments(
        self, method: str, path: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        forge = self.forge
        if method == "POST":
            most = 65_536 if forge.kind == "github" else 1_000_000
            if len(body["body"]) > most:
                return 422, {"message": f"body is too long (maximum is {most} characters)"}, {}
            forge.say(body["body"], author=ME[forge.kind])
            return 201, forge.comments[-1], {}
        return self._page(forge.comments, path, query)

    def _page(
        self, listed: list[dict[str, Any]], path: str, query: dict[str, list[str]]
    ) -> tuple[int, Any, dict[str, str]]:
        forge = self.forge
        page, size = int(query.get("page", ["1"])[0]), min(int(query.get("per_page", ["30"])[0]), 20)
        part = listed[(page - 1) * size : page * size]
        more = page * size < len(listed)
        if forge.kind == "gitlab":
            return 200, part, {"X-Next-Page": str(page + 1) if more else ""}
        link = f'<{forge.url}{path}?per_page={size}&page={page + 1}>; rel="next", <{forge.url}{path}>; rel="first"'
        return 200, part, {"Link": link} if more else {}

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
