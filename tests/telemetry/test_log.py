"""One line for each request: facts, no secret, nothing that could pass for another line or drive a terminal."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Usage
from moongate.core.exchange import Attempt, Exchange, close
from moongate.core.identity import Caller
from moongate.core.level import Level
from moongate.core.route import Route
from moongate.core.tally import Cost
from moongate.telemetry.log import RequestLog, configure, facts

SECRET = "sk-example-0123456789abcdef"
HOSTILE = "a\nb\r\x1b[2J\x9b1m\u2028\u202ec"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def answered(**fields: object) -> Exchange:
    known: dict[str, object] = {
        "client": "203.0.113.7",
        "caller": Caller("key", "key-1"),
        "model": "kimi-k3",
        "stream": True,
        "route": Route("moonshot", "kimi-k3"),
        "account": "moonshot-1",
        "upstream_id": "trace-1",
        "attempts": [Attempt("moonshot-1", "moonshot/kimi-k3", 0.5)],
        "notes": ["temperature left out"],
        "status": 200,
        "first_byte": 10.25,
        "cost": Cost(Usage(88, 20, 64, 11)),
        "reason": "stop",
        "outcome": "answered",
        **fields,
    }
    return Exchange("req_1", "POST", "/v1/chat/completions", 10.0, **known)  # type: ignore[arg-type]


def logged(exchange: Exchange, *, as_json: bool = True, level: Level = "INFO") -> str:
    stream = io.StringIO()
    configure(level, as_json=as_json, to=stream)
    RequestLog(level).observe(close(exchange, 12.0))
    return stream.getvalue()


def test_a_request_is_one_record_of_facts() -> None:
    record = json.loads(logged(answered()))
    assert record.pop("timestamp")
    assert record == {
        "event": "request",
        "level": "info",
        "request_id": "req_1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "client": "203.0.113.7",
        "caller": "key-1",
        "caller_kind": "key",
        "gen_ai.request.model": "kimi-k3",
        "stream": True,
        "route": "moonshot/kimi-k3",
        "account": "moonshot-1",
        "status": 200,
        "outcome": "answered",
        "seconds": 2.0,
        "first_byte": 0.25,
        "attempts": [{"account": "moonshot-1", "route": "moonshot/kimi-k3", "seconds": 0.5}],
        "notes": ["temperature left out"],
        "upstream_id": "trace-1",
        "gen_ai.response.finish_reason": "stop",
        "gen_ai.usage.input_tokens": 88,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 64,
        "gen_ai.usage.reasoning.output_tokens": 11,
    }


def test_what_was_not_measured_is_absent() -> None:
    told = facts(close(Exchange("req_1", "GET", "/health", 10.0, status=200, outcome="answered"), 10.5))
    assert told == {
        "request_id": "req_1",
        "method": "GET",
        "path": "/health",
        "client": "",
        "status": 200,
        "outcome": "answered",
        "seconds": 0.5,
    }


def test_a_failure_is_told_with_its_cause_and_whose_it_was() -> None:
    failure = GatewayError(Kind.RATE_LIMITED, "slow down", upstream_status=429)
    attempts = [Attempt("a", "r", 0.1, "rate_limited", 429)]
    record = json.loads(logged(answered(failure=failure, outcome="refused", status=429, attempts=attempts)))
    assert record["error.type"] == "rate_limited"
    assert (record["origin"], record["reason"], record["upstream_status"]) == ("upstream", "slow down", 429)
    assert record["attempts"][0]["error"] == "rate_limited"
    assert record["attempts"][0]["upstream_status"] == 429


def test_what_an_attempt_that_came_to_nothing_has_cost_stands_with_it() -> None:
    attempts = [Attempt("a", "r", 0.1, "truncated", 200, Cost(Usage(10, 5), is_estimate=True)), Attempt("b", "r", 0.2)]
    record = json.loads(logged(answered(attempts=attempts)))
    assert record["attempts"][0]["gen_ai.usage.input_tokens"] == 10
    assert record["attempts"][0]["gen_ai.usage.output_tokens"] == 5
    assert record["attempts"][0]["usage_is_estimate"] is True
    assert "gen_ai.usage.input_tokens" not in record["attempts"][1]
    assert record["gen_ai.usage.input_tokens"] == 88


@pytest.mark.parametrize(
    ("kind", "model", "level"),
    [
        (None, "kimi-k3", "info"),
        (None, "", "debug"),
        (Kind.INVALID_REQUEST, "", "info"),
        (Kind.OVERLOADED, "kimi-k3", "warning"),
        (Kind.NO_ACCOUNT, "kimi-k3", "warning"),
        (Kind.INTERNAL, "", "error"),
    ],
)
def test_the_level_tells_how_much_it_matters(kind: Kind | None, model: str, level: str) -> None:
    exchange = answered(model=model, failure=kind and GatewayError(kind, "m"))
    assert json.loads(logged(exchange, level="DEBUG"))["level"] == level


def test_what_is_below_the_level_is_not_written() -> None:
    assert logged(answered(), level="WARNING") == ""
    assert logged(answered(model=""), level="INFO") == ""


def planted(place: str, text: str) -> Exchange:
    """A request with `text` where others have a say."""
    exchange = answered()
    match place:
        case "path":
            exchange.path = f"/v1/{text}"
        case "model":
            exchange.model = text
        case "route":
            exchange.route = Route("moonshot", text)
        case "upstream id":
            exchange.upstream_id = text
        case "failure":
            exchange.failure = GatewayError(Kind.FAILED, text)
        case "note":
            exchange.notes = [f"tool_choice {text} sent as auto"]
        case "attempt":
            exchange.attempts = [Attempt("a", f"moonshot/{text}", 0.1, "failed")]
    return exchange


TOP = ["path", "model", "route", "failure", "upstream id"]
BELOW = ["note", "attempt"]


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("place", [*TOP, *(place for place in BELOW)])
def test_no_secret_is_written_wherever_it_was_put(place: str, as_json: bool) -> None:
    line = logged(planted(place, SECRET), as_json=as_json)
    assert "[redacted]" in line
    assert "0123456789abcdef" not in line


@pytest.mark.parametrize("place", TOP[:-1])
def test_facts_hold_no_secret_for_whoever_else_reads_them(place: str) -> None:
    assert "0123456789abcdef" not in str(facts(close(planted(place, SECRET), 12.0)))


@pytest.mark.parametrize(
    ("place", "as_json"),
    [
        *((place, as_json) for place in TOP[:-1] for as_json in (True, False)),
        ("upstream id", False),
        ("upstream id", True),
        *((place, True) for place in BELOW),
        *((place, False) for place in BELOW),
    ],
)
def test_a_record_is_one_line_without_control_characters(place: str, as_json: bool) -> None:
    line = logged(planted(place, HOSTILE), as_json=as_json)
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert line.count("\n") == 1


def test_what_others_log_is_redacted_too() -> None:
    stream = io.StringIO()
    configure("INFO", as_json=True, to=stream)
    logging.getLogger("somebody.else").warning("failed with %s", SECRET)
    logging.getLogger("aiohttp.access").warning("talk")
    record = json.loads(stream.getvalue())
    assert record["event"] == "failed with [redacted]"
    assert record["logger"] == "somebody.else"


def test_a_trace_of_somebody_elses_holds_no_secret() -> None:
    stream = io.StringIO()
    configure("INFO", as_json=True, to=stream)
    try:
        int(SECRET)
    except ValueError:
        logging.getLogger("somebody.else").exception("it failed")
    assert "ValueError" in stream.getvalue()
    assert "0123456789abcdef" not in stream.getvalue()


def test_an_unread_reason_may_be_in_any_script() -> None:
    record = json.loads(logged(answered(failure=GatewayError(Kind.FAILED, "没找到对象 🌙"))))
    assert record["reason"] == "没找到对象 🌙"
