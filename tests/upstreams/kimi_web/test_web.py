"""A web account as the rest of the gateway sees it: what is asked before a reply, and who will read it."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Anchored, Text
from moongate.core.prompt import Media, Message, Prompt, Words
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.core.standing import Standing, Window
from moongate.core.turn import Anchor, Turn
from moongate.upstreams.kimi_web import kimi_web
from moongate.upstreams.kimi_web.models import KNOWN
from moongate.upstreams.kimi_web.site import Setting, Site
from moongate.upstreams.kimi_web.web import ESTIMATED, LENGTH, KimiWeb
from moongate.upstreams.upstream import Opening, Remembers, Upstream
from moongate.wire.connect import encode_envelope
from moongate.wire.http import Flow, HttpCall, HttpHead, HttpReply
from scripted import asked

T = TypeVar("T")

HOST = "https://www.example.com"
TOKEN = Sealed("at-example-0123456789")
CONNECT = {"content-type": "application/connect+json"}
SSE = {"content-type": "text/event-stream"}
ANCHOR = Anchor("kimi-web", "kimi-web-1", "chat1", "answer1", 2)
PAGE = b"<!doctype html><title>Kimi</title>"
MENU = {
    "availableModels": [
        {
            "scenario": "SCENARIO_CHAT",
            "key": "k2d6",
            "id": "k2d6-chat",
            "reasoningEffortOptions": [
                {"effort": "REASONING_EFFORT_NONE"},
                {"effort": "REASONING_EFFORT_LOW"},
            ],
            "defaultReasoningEffort": "REASONING_EFFORT_LOW",
        },
    ],
    "defaultScenario": {"scenario": "SCENARIO_CHAT", "model": "k2d6-chat"},
}
SEEN = {"file": {"id": "f1", "parseResult": {"thumbnail": {"previewUrl": "https://example.org/t"}}}}
MODELS = "/apiv2/kimi.gateway.config.v1.ConfigService/GetAvailableModels"
CHAT = "/apiv2/kimi.gateway.chat.v1.ChatService/Chat"
UNAUTHENTICATED = {"code": "unauthenticated", "message": "at-example-0123456789 is no good"}


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def web(setting: Setting = "auto", clock: Callable[[], float] = lambda: 1_000.0) -> KimiWeb:
    return KimiWeb(f"{HOST}/", "moongate/test", Site(setting, clock), "links", clock=clock)


def reply(body: object, status: int = 200) -> HttpReply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(HttpHead(status, {"content-type": "application/json"}), data)


def played(flow: Flow[T], *replies: object) -> tuple[list[HttpCall], Any]:
    """The calls, and the result or the error."""
    calls: list[HttpCall] = []
    try:
        calls.append(next(flow))
        for answer in replies:
            calls.append(flow.send(answer if isinstance(answer, HttpReply) else reply(answer)))  # noqa: PERF401
    except StopIteration as stop:
        return calls, stop.value
    except GatewayError as error:
        return calls, error
    raise AssertionError(f"more is asked: {calls[-1]}")


def turn(*parts: Words | Media, anchor: Anchor | None = None, thinking: bool | None = None) -> Turn:
    message = Message("user", parts or (Words("Hello"),))
    return Turn(asked(), lambda: Prompt(messages=(message,), thinking=thinking), anchor)


def opened(
    setting: Setting, *replies: object, model: str = "k2", route_thinks: bool = False, **of_turn: Any
) -> tuple[list[str], Any]:
    """The paths that were asked before the reply, and what came of it."""
    parts = of_turn.pop("parts", ())
    route = Route("kimi-web", model, thinking=route_thinks)
    calls, opening = played(web(setting).open(turn(*parts, **of_turn), route, TOKEN), *replies)
    return [call.url.removeprefix(HOST) for call in calls], opening


def sent(opening: Opening) -> Any:
    body = opening.call.body
    return json.loads(body[5:] if opening.call.headers["content-type"] == CONNECT["content-type"] else body)


def test_accounts_at_one_site_share_what_is_learned_of_it() -> None:
    upstream = kimi_web(HOST, "moongate/test", "auto", "none")
    other = Sealed("at-example-of-another")
    assert len(played(upstream.models(TOKEN), MENU)[0]) == 1
    assert len(played(upstream.models(other))[0]) == 0


def test_it_is_an_upstream_that_remembers() -> None:
    upstream: Upstream = web()
    assert isinstance(upstream, Remembers)
    assert (upstream.name, upstream.group("k2")) == ("kimi-web", "all")
    assert upstream != web()
    abilities = upstream.abilities("k2", "openai.chat")
    assert abilities is not None
    assert (abilities.media, abilities.can_think, abilities.length) == ({"image", "file"}, True, LENGTH)


# Which generation a site speaks.


def test_the_newer_generation_is_known_by_its_menu() -> None:
    paths, opening = opened("auto", MENU)
    assert paths == [MODELS]
    assert opening.call.url == f"{HOST}{CHAT}"
    assert (opening.dialect, opening.notes) == ("kimi.web", (ESTIMATED,))
    assert sent(opening)["options"]["model"] == "k2d6-chat"


@pytest.mark.parametrize(
    "absence", [reply(b"", 404), reply(b"", 405), reply(b"", 501), reply(b"", 307), reply(PAGE), reply(PAGE, 404)]
)
def test_the_older_generation_is_known_by_the_lack_of_one(absence: HttpReply) -> None:
    paths, opening = opened("auto", absence, {"id": "chat1"})
    assert paths == [MODELS, "/api/chat"]
    assert opening.call.url == f"{HOST}/api/chat/chat1/completion/stream"
    assert opening.dialect == "kimi.web"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(UNAUTHENTICATED, 401), Kind.CREDENTIAL_REFUSED),
        (reply(b"busy", 503), Kind.OVERLOADED),
        (reply(PAGE, 403), Kind.FAILED),
        (reply(b"[1]"), Kind.PROTOCOL),
    ],
)
def test_what_tells_nothing_decides_nothing(answer: HttpReply, kind: Kind) -> None:
    upstream = web()
    _, error = played(upstream.open(turn(), Route("kimi-web", "k2"), TOKEN), answer)
    assert error.kind is kind
    assert "example-0123456789" not in error.message
    assert played(upstream.open(turn(), Route("kimi-web", "k2"), TOKEN), MENU)[1].dialect == "kimi.web"


def test_a_generation_that_is_set_is_not_asked_for() -> None:
    assert opened("rest", {"id": "chat1"})[0] == ["/api/chat"]
    paths, opening = opened("connect", reply(b"", 404))
    assert paths == [MODELS]
    assert sent(opening)["scenario"] == "SCENARIO_K2D5"
    assert "model" not in sent(opening)["options"]


def test_what_a_site_speaks_is_remembered_for_an_hour() -> None:
    clock = Clock()
    upstream = web(clock=clock)

    def asks(*replies: object) -> int:
        return len(played(upstream.models(TOKEN), *replies)[0])

    assert [asks(MENU), asks()] == [1, 0]
    clock.now += 3_599
    assert asks() == 0
    clock.now += 1
    assert [asks(reply(b"busy", 503)), asks()] == [1, 0]
    clock.now += 60
    assert asks(MENU) == 1


def test_a_failure_does_not_unsay_what_was_known() -> None:
    clock = Clock()
    upstream = web(clock=clock)
    played(upstream.models(TOKEN), MENU)
    clock.now += 3_600
    _, models = played(upstream.models(TOKEN), reply(b"busy", 503))
    assert "k2d6-chat" in {model.id for model in models}


def test_models_are_those_any_site_understands_and_those_it_reports() -> None:
    _, models = played(web().models(TOKEN), MENU)
    assert {model.id for model in KNOWN} < {model.id for model in models}
    assert "k2d6-chat-thinking" in {model.id for model in models}
    assert played(web("rest").models(TOKEN))[1] == KNOWN


# What is asked.


@pytest.mark.parametrize(
    ("model", "route_thinks", "said", "thinks"),
    [
        ("k2", False, None, False),
        ("k2", True, None, True),
        ("k2", False, True, True),
        ("k2-thinking", False, None, True),
        ("k2-thinking", True, False, False),
    ],
)
def test_what_the_caller_says_of_thinking_counts_before_the_name(
    model: str, route_thinks: bool, said: bool | None, thinks: bool
) -> None:
    _, opening = opened("connect", MENU, model=model, route_thinks=route_thinks, thinking=said)
    assert sent(opening)["options"]["thinking"] is thinks
    _, opening = opened("rest", {"id": "chat1"}, model=model, route_thinks=route_thinks, thinking=said)
    assert sent(opening)["model"] == ("k1.5" if thinks else "k2")


def test_search_is_offered_unless_the_name_says_not() -> None:
    for model, offered in (("k2", True), ("k2-nosearch", False)):
        assert bool(sent(opened("connect", MENU, model=model)[1])["tools"]) is offered
        assert sent(opened("rest", {"id": "chat1"}, model=model)[1])["use_search"] is offered


def test_a_model_that_is_no_more_is_noted() -> None:
    _, opening = opened("auto", MENU, model="k1.5")
    assert any("k1.5" in note for note in opening.notes)


@pytest.mark.parametrize(("setting", "answers"), [("connect", [MENU]), ("rest", [])])
def test_a_model_nobody_serves_is_refused_before_anything_is_made(setting: Setting, answers: list[object]) -> None:
    paths, error = opened(setting, *answers, model="k9")
    assert error.kind is Kind.MODEL_NOT_SERVED
    assert "/api/chat" not in paths


def test_a_chat_is_continued_where_it_is() -> None:
    _, opening = opened("connect", MENU, anchor=ANCHOR)
    assert (sent(opening)["chat_id"], sent(opening)["message"]["parent_id"]) == ("chat1", "answer1")
    paths, opening = opened("rest", anchor=ANCHOR)
    assert paths == []
    assert opening.call.url == f"{HOST}/api/chat/chat1/completion/stream"


PICTURE = Media("image", b"example", "image/png")


def test_files_are_put_there_first() -> None:
    parts = (Words("What "), PICTURE, Words("is it?"))
    paths, opening = opened("connect", MENU, SEEN, parts=parts)
    assert paths == [MODELS, "/apiv2-files/file/upload"]
    text, file = sent(opening)["message"]["blocks"]
    assert (text["text"]["content"], file["file"]["id"]) == ("What is it?", "f1")
    place = {"url": "https://store.example.org/p", "object_name": "o", "file_id": "i"}
    answers = [{"id": "chat1"}, place, b"", {"id": "d1", "status": "parsed"}]
    assert sent(opened("rest", *answers, parts=parts)[1])["refs"] == ["d1"]


def test_what_lies_elsewhere_is_refused_before_anything_is_asked() -> None:
    paths, error = opened("auto", parts=(Media("image", url="https://example.org/cat.png"),))
    assert (paths, error.kind) == ([], Kind.INVALID_REQUEST)


def test_a_chat_that_came_to_nothing_is_not_left_behind() -> None:
    paths, error = opened("rest", {"id": "chat1"}, reply(b"busy", 503), b"", parts=(PICTURE,))
    assert paths == ["/api/chat", "/api/pre-sign-url", "/api/chat/chat1"]
    assert error.kind is Kind.OVERLOADED
    paths, _ = opened("rest", reply(b"busy", 503), parts=(PICTURE,), anchor=ANCHOR)
    assert paths == ["/api/pre-sign-url"]


# Who reads the reply.


def frames(*told: object) -> bytes:
    data = b"".join(encode_envelope(json.dumps(one).encode()) for one in told)
    return data + encode_envelope(b"{}", 2)


SPOKEN = frames(
    {"op": "set", "eventOffset": 1, "chat": {"id": "chat1"}},
    {"op": "set", "mask": "message", "message": {"id": "a1", "role": "assistant"}},
    {"op": "set", "mask": "block.text", "block": {"id": "1", "text": {"content": "Hi"}}},
    {"done": {}},
)


def test_frames_are_read_as_such() -> None:
    decoder = opened("connect", MENU)[1].decoder(HttpHead(200, CONNECT))
    deltas = [delta for reading in decoder.feed(SPOKEN) for delta in reading.deltas]
    assert Text("Hi") in deltas
    assert Anchored("chat1", "a1") in deltas


def test_events_are_read_as_such() -> None:
    decoder = opened("rest", {"id": "chat1"})[1].decoder(HttpHead(200, SSE))
    told = b'data: {"event":"cmpl","text":"Hi"}\n\ndata: {"event":"all_done"}\n\n'
    deltas = [delta for reading in decoder.feed(told) for delta in reading.deltas]
    assert Text("Hi") in deltas
    assert "chat1" in {delta.chat for delta in deltas if isinstance(delta, Anchored)}


@pytest.mark.parametrize(("setting", "first"), [("connect", MENU), ("rest", {"id": "chat1"})])
@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (json.dumps(UNAUTHENTICATED).encode(), "application/json", Kind.CREDENTIAL_REFUSED),
        (b'{"error_type":"chat.user_stream_pushing","message":"x"}', "application/json", Kind.RATE_LIMITED),
        (PAGE, "text/html; charset=utf-8", Kind.FAILED),
        (b"", "application/json", Kind.TRUNCATED),
    ],
)
def test_a_reply_that_is_no_stream_is_a_refusal(
    setting: Setting, first: object, body: bytes, kind: str, expected: Kind
) -> None:
    decoder = opened(setting, first)[1].decoder(HttpHead(200, {"content-type": kind}))
    assert [list(decoder.feed(body[:9])), list(decoder.feed(body[9:]))] == [[], []]
    with pytest.raises(GatewayError) as failure:
        list(decoder.end())
    assert failure.value.kind is expected
    assert "example-0123456789" not in failure.value.message


@pytest.mark.parametrize(
    ("status", "body", "anew", "continued"),
    [
        (400, {"code": "invalid_argument"}, Kind.REQUEST_REFUSED, Kind.CHAT_GONE),
        (404, {"code": "not_found"}, Kind.REQUEST_REFUSED, Kind.CHAT_GONE),
        (403, {"code": "permission_denied"}, Kind.ACCOUNT_BARRED, Kind.CHAT_GONE),
        (401, UNAUTHENTICATED, Kind.CREDENTIAL_REFUSED, Kind.CREDENTIAL_REFUSED),
        (503, {"code": "unavailable"}, Kind.OVERLOADED, Kind.OVERLOADED),
    ],
)
def test_a_refusal_of_a_chat_that_was_continued_may_mean_that_it_is_gone(
    status: int, body: object, anew: Kind, continued: Kind
) -> None:
    refusal = HttpHead(status, {"content-type": "application/json"}), json.dumps(body).encode()
    assert opened("connect", MENU)[1].explain(*refusal).kind is anew
    assert opened("connect", MENU, anchor=ANCHOR)[1].explain(*refusal).kind is continued


def test_an_address_where_nobody_is_is_named() -> None:
    error = opened("connect", MENU)[1].explain(HttpHead(404, {"content-type": "text/html"}), PAGE)
    assert error.kind is Kind.MISDIRECTED
    assert HOST in error.message


# How the account stands.


STATISTICS = "/apiv2/kimi.gateway.membership.v2.MembershipService/GetSubscriptionStats"


def stands(setting: Setting, *answers: object) -> tuple[list[str], Any]:
    calls, standing = played(web(setting).standing(TOKEN), *answers)
    return [call.url.removeprefix(HOST) for call in calls], standing


@pytest.mark.parametrize(
    ("balance", "windows"),
    [
        (
            {"id": "x", "amountUsedRatio": 0.25, "expireTime": "1970-01-02T00:00:00Z"},
            (Window("month", 0.25, 86_400.0),),
        ),
        ({"id": "x", "amountUsedRatio": "1"}, (Window("month", 1.0),)),
        ({"id": "x", "amountUsedRatio": [], "expireTime": 5}, (Window("month", 0.0, 5.0),)),
        ({"id": "x"}, (Window("month", 0.0),)),
    ],
)
def test_a_plans_month_is_told(balance: object, windows: tuple[Window, ...]) -> None:
    told = {"subscriptionBalance": balance, "ratelimitCode5h": {"enabled": True, "ratio": 0.9}}
    paths, standing = stands("auto", MENU, told)
    assert paths == [MODELS, STATISTICS]
    assert standing == Standing(1_000.0, windows=windows)


@pytest.mark.parametrize("told", [{}, [], {"subscriptionBalance": 5}, b"nonsense"])
def test_where_nothing_is_told_nothing_is_known(told: object) -> None:
    assert stands("auto", MENU, told)[1] is None


def test_an_older_site_is_asked_who_it_is() -> None:
    assert stands("rest", {"id": "example-user", "status": "normal"}) == (["/api/user"], None)
    assert stands("rest", reply(b"", 404)) == (["/api/user"], None)
    paths, standing = stands("auto", MENU, reply(b"", 404), {"id": "example-user"})
    assert (paths, standing) == ([MODELS, STATISTICS, "/api/user"], None)


def test_asking_for_the_standing_tells_whether_a_token_is_good() -> None:
    assert stands("auto", MENU, reply(UNAUTHENTICATED, 401))[1].kind is Kind.CREDENTIAL_REFUSED
    refusal = reply({"error_type": "auth.token.invalid", "message": "x"}, 401)
    assert stands("rest", refusal)[1].kind is Kind.CREDENTIAL_REFUSED
    assert stands("auto", MENU, reply(b"busy", 503))[1].kind is Kind.OVERLOADED


# What is left behind.


def test_a_reply_is_stopped_where_that_can_be_asked() -> None:
    calls, _ = played(web("auto").stop("chat1", "a1", TOKEN), MENU, {})
    assert calls[-1].url.endswith("/CancelChat")
    assert json.loads(calls[-1].body) == {"chat_id": "chat1", "message_id": "a1"}
    assert played(web("rest").stop("chat1", "", TOKEN)) == ([], None)


def test_a_chat_is_forgotten_in_either_generation() -> None:
    calls, result = played(web("auto").forget("chat1", TOKEN), MENU, {})
    assert (calls[-1].url, result) == (f"{HOST}/apiv2/kimi.chat.v1.ChatService/DeleteChat", None)
    calls, result = played(web("rest").forget("chat1", TOKEN), b"")
    assert (calls[-1].method, calls[-1].url, result) == ("DELETE", f"{HOST}/api/chat/chat1", None)


def test_a_chat_that_is_gone_already_is_forgotten() -> None:
    calls, result = played(web("auto").forget("chat1", TOKEN), MENU, reply({}, 404), reply({}, 404))
    assert [call.url.rpartition("/")[0] for call in calls[1:]] == [
        f"{HOST}/apiv2/kimi.chat.v1.ChatService",
        f"{HOST}/apiv2/kimi.gateway.chat.v1.ChatService",
    ]
    assert result is None
    assert played(web("rest").forget("chat1", TOKEN), reply(b"", 404))[1] is None


@pytest.mark.parametrize("setting", ["connect", "rest"])
def test_a_refusal_to_forget_is_told(setting: Setting) -> None:
    answers = [MENU] if setting == "connect" else []
    error = played(web(setting).forget("chat1", TOKEN), *answers, reply(UNAUTHENTICATED, 401))[1]
    assert error.kind is Kind.CREDENTIAL_REFUSED
