"""The optional transport: a library that waits is kept off the loop, bounded, and its errors are told truly."""

import asyncio
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from harness import until
from moongate.core.errors import GatewayError, Kind
from moongate.simulator import Simulator
from moongate.upstreams import scraping
from moongate.upstreams.scraping import AT_ONCE, ScraperTransport, is_installed
from moongate.wire.http import HttpCall

CALL = HttpCall("POST", "https://site.example/x", {"user-agent": "moongate/test"}, b"a=b")

has_library = pytest.mark.skipif(not is_installed(), reason="cloudscraper is not installed; it is an extra")
has_requests = pytest.mark.skipif(
    importlib.util.find_spec("requests") is None, reason="requests is not installed; it comes with the extra"
)


class Told:
    """A reply of a session that was scripted."""

    def __init__(self, body: bytes = b"ok", status: int = 200, fault: Exception | None = None) -> None:
        self.status_code = status
        self.headers: Mapping[str, str] = {"Content-Type": "text/plain", "X-Name": "v"}
        self.is_closed = False
        self._body = body
        self._fault = fault

    def iter_content(self, chunk_size: int) -> Iterator[bytes]:
        for place in range(0, len(self._body), chunk_size):
            yield self._body[place : place + chunk_size]
        if self._fault is not None:
            raise self._fault

    def close(self) -> None:
        self.is_closed = True


class Scripted:
    """A session that does what it was told, and remembers what it was asked."""

    def __init__(self, act: Callable[[], Told]) -> None:
        self.asked: list[tuple[str, str, Mapping[str, object]]] = []
        self.is_closed = False
        self._act = act

    def request(self, method: str, url: str, **options: object) -> Told:
        self.asked.append((method, url, options))
        return self._act()

    def close(self) -> None:
        self.is_closed = True


def _raising(error: Exception) -> Callable[[], Told]:
    def act() -> Told:
        raise error

    return act


async def test_a_call_goes_out_as_it_was_described() -> None:
    session = Scripted(Told)
    async with ScraperTransport(lambda: session) as transport:
        reply = await transport.fetch(CALL)
    assert (reply.head.status, reply.head.media_type, reply.body) == (200, "text/plain", b"ok")
    assert reply.head.headers["x-name"] == "v"
    [(method, url, options)] = session.asked
    assert (method, url) == ("POST", "https://site.example/x")
    assert (options["headers"], options["data"]) == (CALL.headers, CALL.body)
    assert options["allow_redirects"] is False
    assert options["timeout"] == (10.0, 30.0)
    assert session.is_closed


async def test_a_stream_comes_in_one_piece() -> None:
    transport = ScraperTransport(lambda: Scripted(lambda: Told(b"x" * 200_000, 503)))
    async with transport.stream(CALL) as incoming:
        assert incoming.head.status == 503
        assert [len(await incoming.read()), await incoming.read()] == [200_000, b""]


async def test_the_loop_goes_on_while_the_library_waits_and_so_many_calls_run_at_once() -> None:
    release, running, most = threading.Event(), [0], [0]
    lock = threading.Lock()
    sessions: list[Scripted] = []

    def act() -> Told:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        release.wait(5)
        with lock:
            running[0] -= 1
        return Told()

    def session() -> Scripted:
        sessions.append(Scripted(act))
        return sessions[-1]

    async with ScraperTransport(session) as transport:
        calls = [asyncio.create_task(transport.fetch(CALL)) for _ in range(3 * AT_ONCE)]
        await until(lambda: running[0] == AT_ONCE)
        assert transport.open == AT_ONCE
        release.set()
        replies = await asyncio.gather(*calls)
    assert {reply.body for reply in replies} == {b"ok"}
    assert (most[0], len(sessions)) == (AT_ONCE, AT_ONCE)


async def test_a_call_that_is_given_up_is_not_waited_for_and_keeps_its_place_until_it_ends() -> None:
    release = threading.Event()

    def act() -> Told:
        release.wait(5)
        return Told()

    transport = ScraperTransport(lambda: Scripted(act))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await transport.fetch(CALL)
    assert transport.open == 1
    release.set()
    await until(lambda: transport.open == 0)
    assert (await transport.fetch(CALL)).body == b"ok"


async def test_a_call_has_the_time_it_asked_for_and_no_more() -> None:
    release = threading.Event()

    def act() -> Told:
        release.wait(5)
        return Told()

    transport = ScraperTransport(lambda: Scripted(act))
    with pytest.raises(GatewayError, match="did not answer in time") as caught:
        await transport.fetch(HttpCall("GET", CALL.url, patience=0.05))
    assert caught.value.kind is Kind.TIMED_OUT
    release.set()
    await until(lambda: transport.open == 0)


def _named(name: str, *bases: type[Exception]) -> type[Exception]:
    """An error as `requests` has it: named so, and at last an OSError."""
    return type(name, bases or (OSError,), {})


CONNECTION, TIMEOUT, CHUNKED = _named("ConnectionError"), _named("Timeout"), _named("ChunkedEncodingError")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CONNECTION, Kind.UNREACHABLE),
        (_named("ConnectTimeout", CONNECTION, TIMEOUT), Kind.UNREACHABLE),
        (TIMEOUT, Kind.TIMED_OUT),
        (TimeoutError, Kind.TIMED_OUT),
        (_named("ProxyError", CONNECTION), Kind.UNREACHABLE),
        (_named("SSLError", CONNECTION), Kind.UNREACHABLE),
        (_named("InvalidURL", OSError, ValueError), Kind.MISDIRECTED),
        (CHUNKED, Kind.TRUNCATED),
        (OSError, Kind.UNREACHABLE),
    ],
)
async def test_failures_are_told_in_words_of_our_own(error: type[Exception], kind: Kind) -> None:
    transport = ScraperTransport(lambda: Scripted(_raising(error("http://name:s3cretpw@proxy.example"))))
    with pytest.raises(GatewayError) as caught:
        await transport.fetch(CALL)
    assert caught.value.kind is kind
    assert "s3cretpw" not in caught.value.message
    await until(lambda: transport.open == 0)


async def test_a_reply_that_breaks_off_is_cut_and_closed() -> None:
    told = Told(b"half", fault=CHUNKED())
    with pytest.raises(GatewayError) as caught:
        await ScraperTransport(lambda: Scripted(lambda: told)).fetch(CALL)
    assert caught.value.kind is Kind.TRUNCATED
    assert told.is_closed


async def test_a_reply_of_any_size_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraping, "FETCH_LIMIT", 100_000)
    told = Told(b"x" * 1_000_000)
    with pytest.raises(GatewayError, match="more than 100000 bytes") as caught:
        await ScraperTransport(lambda: Scripted(lambda: told)).fetch(CALL)
    assert caught.value.kind is Kind.PROTOCOL
    assert told.is_closed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_library_that_breaks_down_leaves_nobody_waiting() -> None:
    transport = ScraperTransport(lambda: Scripted(_raising(ZeroDivisionError())))
    with pytest.raises(GatewayError, match="broke down") as caught:
        await transport.fetch(CALL)
    assert caught.value.kind is Kind.FAILED
    await until(lambda: all(thread.name != "cloudscraper" for thread in threading.enumerate()))
    assert transport.open == 0


async def test_the_proxy_variables_are_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    session = Scripted(Told)
    transport = ScraperTransport(lambda: session)
    await transport.fetch(CALL)
    await transport.fetch(HttpCall("GET", "http://127.0.0.1:1/"))
    assert [options["proxies"] for _, _, options in session.asked] == [{"https": "http://proxy.example:3128"}, {}]


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudscraper", None)  # which makes its import fail
    with pytest.raises(ValueError, match=r'pip install "moongate\[cloudscraper\]"'):
        ScraperTransport()


@has_library
async def test_the_library_asks_a_real_server_by_our_own_name(sim: Simulator) -> None:
    async with ScraperTransport() as transport:
        reply = await transport.fetch(HttpCall("GET", f"{sim.url}/chat/", {"user-agent": "moongate/test"}))
        await until(lambda: transport.open == 0)
    assert reply.head.status == 200
    assert sim.seen[-1].headers["user-agent"] == "moongate/test"


@has_requests
async def test_the_librarys_own_sessions_are_spoken_to_rightly(sim: Simulator) -> None:
    import requests

    sim.site.fail = ["cut"]
    form = {"content-type": "application/x-www-form-urlencoded"}
    post = HttpCall("POST", f"{sim.url}/wp-admin/admin-ajax.php", form, b"action=kimi_send_message&message=Hi")
    async with ScraperTransport(requests.Session) as transport:
        reply = await transport.fetch(HttpCall("GET", f"{sim.url}/chat/", {"user-agent": "moongate/test"}))
        with pytest.raises(GatewayError) as caught:
            await transport.fetch(post)
        await until(lambda: transport.open == 0)
    assert b"kimi_ajax" in reply.body
    assert caught.value.kind is Kind.TRUNCATED
    assert sim.seen[0].headers["user-agent"] == "moongate/test"
