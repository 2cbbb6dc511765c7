"""HTTP with patience: what is sent again and what never is, how long it waits, and where credentials go."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.image.registries import Answer, Registry, registry

from model_ci import web

OK: Answer = (200, {}, b'{"fine": true}')


@contextmanager
def saying(*answers: Answer) -> Iterator[Registry]:
    """Serve these answers one after the other, the last of them for ever."""
    waiting = [*answers]
    with registry(lambda *_: waiting.pop(0) if len(waiting) > 1 else waiting[0]) as server:
        yield server


@contextmanager
def raw(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Write these bytes, one a connection, and hang up."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    received.append(connection.recv(65536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", received


def ask(server: Registry, method: str = "GET", **settings: object) -> tuple[web.Answer, list[float]]:
    waited: list[float] = []
    client = web.Client(wait=waited.append, **settings)  # type: ignore[arg-type]
    return client.ask(method, f"http://{server.address}/path", {}, b"{}" if method == "POST" else None), waited


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD"])
def test_what_may_be_done_twice_is_sent_again(method: str, status: int) -> None:
    with saying((status, {}, b""), (status, {}, b""), OK) as server:
        answer, waited = ask(server, method)
    assert answer.status == 200
    assert waited == [1, 2]


def test_a_post_is_sent_again_only_where_it_was_not_done() -> None:
    with saying((503, {}, b"")) as server:
        answer, waited = ask(server, "POST")
        assert (answer.status, waited, len(server.asked)) == (503, [], 1)
    with saying((429, {"Retry-After": "7"}, b""), OK) as server:
        answer, waited = ask(server, "POST")
        assert (answer.status, waited) == (200, [7])
    with saying((503, {}, b""), OK) as server:
        assert ask(server, "POST", repeat_post=True)[0].status == 200


@pytest.mark.parametrize("status", [200, 201, 204, 301, 302, 307, 400, 401, 403, 404, 409, 422, 501])
def test_every_other_answer_is_returned_at_once(status: int) -> None:
    with saying((status, {"Location": "http://127.0.0.1:1/elsewhere"}, b"")) as server:
        answer, waited = ask(server)
    assert (answer.status, waited, server.asked) == (status, [], [("GET", "/path")])


@pytest.mark.parametrize(
    ("status", "asked", "waited"),
    [(503, "3", [3]), (429, "0", [0]), (403, "2", [2]), (429, "121", []), (503, "99999", []), (429, "soon", [1])],
)
def test_it_waits_as_long_as_the_server_asks_up_to_two_minutes(status: int, asked: str, waited: list[float]) -> None:
    with saying((status, {"Retry-After": asked}, b""), OK) as server:
        answer, pauses = ask(server)
    assert pauses == waited
    assert answer.status == (200 if waited else status)


def test_it_gives_up() -> None:
    with saying((503, {}, b"away")) as server:
        answer, waited = ask(server)
        assert (answer.status, answer.body, waited, len(server.asked)) == (503, b"away", [1, 2, 4, 8], 5)
        answer, waited = ask(server, tries=1)
        assert (answer.status, waited) == (503, [])


def test_nobody_there_was_sent_nothing() -> None:
    with saying(OK) as server:
        pass
    for method in ("GET", "POST"):
        with pytest.raises(web.NoAnswerError, match="refused") as refused:
            ask(server, method)
        assert not refused.value.sent


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@pytest.mark.parametrize("broken", [b"", b"HTTP/1.1 2", HEAD, HEAD + b"half"])
def test_half_an_answer_is_asked_for_again_but_nothing_is_done_twice(broken: bytes) -> None:
    client = web.Client(wait=lambda _: None)
    with raw(broken, HEAD + b"0123456789") as (address, received):
        assert client.ask("GET", address, {}).body == b"0123456789"
        assert len(received) == 2
    with raw(broken) as (address, received):
        with pytest.raises(web.NoAnswerError) as refused:
            client.ask("POST", address, {}, b"{}")
        assert refused.value.sent
        assert len(received) == 1


def test_an_answer_has_a_bound() -> None:
    with saying((200, {}, b"x" * 1000)) as server:
        url = f"http://{server.address}/"
        assert len(web.Client().ask("GET", url, {}, most=1000).body) == 1000
        with pytest.raises(web.TooLargeError, match="more than 999 bytes"):
            web.Client().ask("GET", url, {}, most=999)


def test_a_proxy_of_the_environment_is_used_and_gets_its_own_login_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with saying(OK) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:secret@{proxy.address}")
        monkeypatch.setenv("no_proxy", "inside.example,127.0.0.1")
        assert web.Client().ask("GET", "http://outside.example/x", {"Authorization": "token"}).status == 200
        assert proxy.asked == [("GET", "http://outside.example/x")]
        with saying(OK) as direct:
            assert ask(direct)[0].status == 200
            assert direct.asked == [("GET", "/path")]
        assert len(proxy.asked) == 1


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://a/b", "no address", "http://", "http://[::1"])
def test_what_is_not_an_address_of_the_web_is_not_asked(address: str) -> None:
    with pytest.raises(web.NoAnswerError):
        web.Client().ask("GET", address, {})


def test_no_address_is_written_to_a_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.WARNING)
    with saying(OK) as server:
        pass
    with pytest.raises(web.NoAnswerError) as refused:
        web.Client(wait=lambda _: None).ask("GET", f"http://user:secret@{server.address}/secret?key=secret", {})
    printed = capfd.readouterr()
    assert "secret" not in f"{refused.value}{caplog.text}{printed.out}{printed.err}"
