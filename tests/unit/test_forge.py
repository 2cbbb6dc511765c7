"""The services' APIs: pages, refusals that name what lacks, waiting where asked, and a token that is never told."""

from collections.abc import Callable, Iterator

import pytest
from tests.forge.service import HEAD, ME, PEOPLE, Failure, Forge, serve

from model_ci.errors import ConfigError, ServiceError
from model_ci.forge import GitHub, GitLab, Head, Thread, put

MARKER = "<!-- model-ci: shop -->"
Client = Callable[..., Thread]


@pytest.fixture(params=["github", "gitlab"])
def forge(request: pytest.FixtureRequest) -> Iterator[Forge]:
    with serve(request.param) as running:
        yield running


@pytest.fixture
def waited() -> list[float]:
    return []


@pytest.fixture
def thread(forge: Forge, waited: list[float]) -> Client:
    def make(token: str = forge.token) -> Thread:
        if forge.kind == "github":
            api = GitHub(api_url=forge.url, repository="acme/shop", token=token, wait=waited.append)
            return api.thread(7)
        return GitLab(api_url=forge.url, project="12", token=token, wait=waited.append).thread(7)

    return make


def changes(forge: Forge) -> list[str]:
    return [method for method, _ in forge.asked if method != "GET"]


def test_one_comment_is_made_and_then_kept_up_to_date(forge: Forge, thread: Client) -> None:
    for i in range(46):
        forge.say(f"remark {i}")
    assert put(thread(), MARKER, f"{MARKER}\none") == "created"
    for i in range(30):
        forge.say(f"answer {i}")
    assert put(thread(), MARKER, f"{MARKER}\ntwo") == "updated"
    assert put(thread(), MARKER, f"{MARKER}\ntwo\n") == "unchanged"
    assert forge.mine == [f"{MARKER}\ntwo"]
    assert len(changes(forge)) == 2
    assert sum("page=3" in path for _, path in forge.asked) > 0


def test_two_models_keep_two_comments(forge: Forge, thread: Client) -> None:
    other = "<!-- model-ci: shop2 -->"
    for text in ("one", "two"):
        put(thread(), MARKER, f"{MARKER}\n{text}")
        put(thread(), other, f"{other}\n{text}")
    assert forge.mine == [f"{MARKER}\ntwo", f"{other}\ntwo"]


def test_a_marker_in_somebody_elses_comment_is_a_forgery(forge: Forge, thread: Client) -> None:
    forge.say(f"{MARKER}\nall is well", author=PEOPLE)
    forge.say(f"look: {MARKER}", author=ME[forge.kind])
    assert put(thread(), MARKER, f"{MARKER}\nit is not") == "created"
    assert forge.comments[0]["body"] == f"{MARKER}\nall is well"


def test_a_workflows_own_token_may_not_ask_who_it_is() -> None:
    with serve("github") as forge:
        forge.who_am_i = False
        forge.say(f"{MARKER}\nforged")
        pull = GitHub(api_url=forge.url, repository="acme/shop", token=forge.token).thread(7)
        assert [put(pull, MARKER, f"{MARKER}\n{text}") for text in "ab"] == ["created", "updated"]
        assert forge.mine == [f"{MARKER}\nb"]


def test_a_wrong_token_is_refused_and_not_told(forge: Forge, thread: Client) -> None:
    with pytest.raises(ServiceError, match="401, the token is not accepted") as caught:
        put(thread("glpat-verysecret"), MARKER, MARKER)
    assert "verysecret" not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_names_the_permission_that_lacks(forge: Forge, thread: Client, status: int) -> None:
    forge.failures = [Failure(status, message="Resource not accessible by integration")]
    wanted = "`pull-requests: write`" if forge.kind == "github" else "scope `api`"
    with pytest.raises(ServiceError, match=f"{status}: Resource not accessible") as caught:
        put(thread(), MARKER, MARKER)
    assert wanted in str(caught.value)
    assert len(changes(forge)) == 1


def test_it_waits_as_long_as_it_is_asked_to(forge: Forge, thread: Client, waited: list[float]) -> None:
    forge.failures = [
        Failure(429, headers={"Retry-After": "7"}),
        Failure(429, method="GET", headers={"Retry-After": "3"}),
    ]
    assert put(thread(), MARKER, MARKER) == "created"
    assert sorted(waited) == [3, 7]
    assert len(forge.mine) == 1


def test_githubs_403_for_too_many_requests_is_waited_for(waited: list[float]) -> None:
    with serve("github") as forge:
        forge.failures = [Failure(403, headers={"retry-after": "2"})]
        pull = GitHub(api_url=forge.url, repository="a/b", token=forge.token, wait=waited.append).thread(7)
        assert put(pull, MARKER, MARKER) == "created"
        assert waited == [2]


def test_it_does_not_wait_for_an_hour(forge: Forge, thread: Client, waited: list[float]) -> None:
    forge.failures = [Failure(429, headers={"Retry-After": "3600"})]
    with pytest.raises(ServiceError, match="3600 s to wait; try again later"):
        put(thread(), MARKER, MARKER)
    assert waited == []


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_in_trouble_is_asked_again(forge: Forge, thread: Client, status: int) -> None:
    forge.failures = [Failure(status, method="GET"), Failure(status, method="GET"), Failure(status)]
    assert put(thread(), MARKER, MARKER) == "created"
    assert len(forge.mine) == 1


def test_a_comment_that_was_made_without_an_answer_is_not_made_twice(forge: Forge, thread: Client) -> None:
    forge.failures = [Failure(502, done=True)]
    assert put(thread(), MARKER, MARKER) == "unchanged"
    assert len(forge.mine) == 1


def test_a_server_that_stays_away_is_an_error_of_the_service(forge: Forge, thread: Client, waited: list[float]) -> None:
    forge.failures = [Failure(503, method="GET", message="down for upkeep") for _ in range(5)]
    with pytest.raises(ServiceError, match="503: down for upkeep; try again later"):
        put(thread(), MARKER, MARKER)
    assert waited == [1, 2, 4, 8]


def test_nobody_there_is_an_error_of_the_service(waited: list[float]) -> None:
    with serve("gitlab") as forge:
        url = forge.url
    with pytest.raises(ServiceError, match="no answer"):
        put(GitLab(api_url=url, project="1", token="t", wait=waited.append).thread(7), MARKER, MARKER)
    assert len(waited) == 4


def test_a_redirection_is_not_followed_with_the_token(forge: Forge, thread: Client) -> None:
    with serve(forge.kind) as other:
        forge.failures = [Failure(302, method="GET", headers={"Location": f"{other.url}/user"})]
        with pytest.raises(ServiceError, match="302: this is elsewhere now"):
            put(thread(), MARKER, MARKER)
        assert other.asked == []


def test_a_page_that_is_no_answer_is_an_error_of_the_service(forge: Forge, thread: Client) -> None:
    forge.failures = [Failure(200, method="GET", raw=b"<html>log in</html>")]
    with pytest.raises(ServiceError, match="is no JSON"):
        put(thread(), MARKER, MARKER)


def test_an_address_that_is_none_of_the_web_is_refused() -> None:
    with pytest.raises(ConfigError, match="https://"):
        GitHub(api_url="file:///etc", repository="a/b", token="t")


def test_a_pull_request_is_found_by_branch_and_commit() -> None:
    with serve("github") as forge:
        forge.open_pull(7)
        forge.open_pull(8, sha="b" * 40)
        forge.open_pull(9, branch="other")
        forge.open_pull(10, repository="mallory/elsewhere")
        forge.open_pull(11)
        github = GitHub(api_url=forge.url, repository="acme/shop", token=forge.token)
        assert list(github.pull_requests(Head(**HEAD))) == [7, 11]
        assert list(github.pull_requests(Head(**HEAD | {"sha": "c" * 40}))) == []


def test_artifacts_are_fetched_from_elsewhere_without_the_token() -> None:
    with serve("github") as forge:
        forge.leave("model-ci-1", model=b"x" * 1000)
        forge.leave("model-ci-record-1", run_json=b"{}")
        github = GitHub(api_url=forge.url, repository="acme/shop", token=forge.token)
        ((name, content),) = github.artifacts(9, "model-ci-record-", 1000)
        assert name == "model-ci-record-1"
        assert content == forge.artifacts[1][1]
        assert forge.tokens_elsewhere == []
        with pytest.raises(ServiceError, match="more than 10 bytes"):
            list(github.artifacts(9, "model-ci-record-", 10))
