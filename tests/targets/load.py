"""Users of a service: some keep their connection, some come anew each time; every answer is counted."""

import http.client
import json
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

BODY = json.dumps({"dataframe_split": {"columns": ["x"], "data": [[1.0]]}})
_PAUSE_S = 0.002


class Load:
    """Sends requests while the block lasts; `failures` has what was no good answer."""

    def __init__(self, address: str, *, keeping: int = 3, coming: int = 1, body: str = BODY) -> None:
        self.body = body
        self.address = urlsplit(address).netloc
        self.answers: Counter[tuple[str, str]] = Counter()
        self.failures: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i < keeping,)) for i in range(keeping + coming)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        return sum(self.answers.values())

    def until(self, more: int) -> None:
        """Wait until that many more requests are answered."""
        wanted = self.total + more
        while self.total < wanted:
            assert len(self.failures) < 20, self.failures
            time.sleep(0.02)

    def _ask(self, keep: bool) -> None:
        connection = connect(self.address)
        while not self._over.is_set():
            try:
                version, variant, _ = post(connection, {}, self.body)
                self.answers[version, variant] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(f"{'kept' if keep else 'new'} connection: {error!r}")
                connection.close()
            if not keep:
                connection.close()
            time.sleep(_PAUSE_S)
        connection.close()


def connect(netloc: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(netloc, timeout=20)


def post(connection: http.client.HTTPConnection, headers: dict[str, str], sent: str = BODY) -> tuple[str, str, Any]:
    """Ask for a prediction; return the version and the variant that answered, and the answer's headers."""
    connection.request("POST", "/invocations", sent, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, (answer.status, body[:100])
    assert len(json.loads(body)["predictions"]) == 1
    return answer.headers["X-Model-Version"], answer.headers["X-Model-Variant"], answer.headers
