"""The log: one wide record for each request, told as facts. Names are OpenTelemetry's `gen_ai.*` where it has any."""

import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO, cast

import msgspec
import structlog

from moongate.core.errors import Kind
from moongate.core.exchange import Attempt, Exchange, Record
from moongate.core.level import Level
from moongate.core.redact import redact
from moongate.core.tally import Cost

REQUEST = "request"
LONGEST = 1000
"""Characters of one text in the log."""

_log = structlog.get_logger()


def configure(level: Level, *, as_json: bool, to: TextIO | None = None) -> None:
    """Everything that logs in this process, libraries included, goes to `to` (stderr) in one form."""
    stream = to or sys.stderr
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    last: structlog.types.Processor = (
        structlog.processors.JSONRenderer(serializer=_json)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0, sort_keys=False)
    )
    # Ours go to the stream as they are; by way of the standard library, as those of libraries, they cost twice as much.
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, _redact_event, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.WriteLogger(cast("TextIO", Forgiving(stream))),
    )
    handler = logging.StreamHandler(cast("TextIO", Forgiving(stream)))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, stamp],
            processors=[
                structlog.stdlib.PositionalArgumentsFormatter(),
                structlog.processors.format_exc_info,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _redact_event,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for talkative in ("uvicorn.access", "aiohttp.access"):  # our own record says more
        logging.getLogger(talkative).disabled = True
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for quiet in ("asyncio", "alembic"):
        logging.getLogger(quiet).setLevel(logging.WARNING)


class Forgiving:
    """A stream whose failures nobody hears of: a full disk or a closed pipe must not fail a request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _json(event: structlog.types.EventDict, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _redact_event(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """The last net under everything that is logged, by whomever. Our own records come clean already (see `facts`)."""
    if event.get("event") == REQUEST:
        return event
    return {name: _clean(value) if name != "trace" else redact(value) for name, value in event.items()}


class RequestLog:
    """An observer that writes each record of at least `level` as one line."""

    def __init__(self, level: Level) -> None:
        self._threshold = logging.getLevelNamesMapping()[level]

    def observe(self, record: Record) -> None:
        level = _level(record.exchange)
        if level >= self._threshold:
            _log.log(level, REQUEST, **facts(record))


def _level(exchange: Exchange) -> int:
    """A bug is an error; what an operator may want to look into is a warning."""
    failure = exchange.failure
    if failure is not None:
        if failure.kind is Kind.INTERNAL:
            return logging.ERROR
        return logging.INFO if failure.kind.origin == "caller" else logging.WARNING
    if exchange.outcome == "failed":
        return logging.WARNING
    return logging.INFO if exchange.model or exchange.outcome == "hung up" else logging.DEBUG


def facts(record: Record) -> dict[str, object]:
    """What is known, without what is not: a field that is absent was not measured."""
    exchange = record.exchange
    known = {
        "request_id": exchange.request_id,
        "method": exchange.method,
        "path": exchange.path,
        "client": exchange.client,
        "caller": exchange.caller.name if exchange.caller else None,
        "caller_kind": exchange.caller.kind if exchange.caller else None,
        "gen_ai.request.model": exchange.model or None,
        "gen_ai.conversation.id": exchange.conversation or None,
        "stream": exchange.stream if exchange.model else None,
        "route": str(exchange.route) if exchange.route else None,
        "account": exchange.account or None,
        "status": exchange.status,
        "outcome": exchange.outcome,
        "seconds": round(record.seconds, 4),
        "first_byte": None if record.first_byte is None else round(record.first_byte, 4),
        "waited": round(exchange.waited, 4) or None,
        "attempts": [_attempt(attempt) for attempt in exchange.attempts] or None,
        "notes": exchange.notes or None,
        "upstream_id": exchange.upstream_id or None,
        "gen_ai.response.finish_reason": exchange.reason,
        **_usage(exchange.cost),
        **_failure(exchange),
    }
    return {name: _clean(value) for name, value in known.items() if value is not None}


def _usage(cost: Cost | None) -> Mapping[str, object]:
    if cost is None:
        return {}
    usage = cost.usage
    return {
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cached,
        "gen_ai.usage.reasoning.output_tokens": usage.thinking,
        "usage_is_estimate": cost.is_estimate or None,
    }


def _failure(exchange: Exchange) -> Mapping[str, object]:
    failure = exchange.failure
    if failure is None:
        return {}
    return {
        "error.type": failure.kind.code,
        "origin": failure.kind.origin,
        "reason": failure.message,
        "upstream_status": failure.upstream_status,
    }


def _attempt(attempt: Attempt) -> dict[str, object]:
    told = {
        "account": attempt.account,
        "route": attempt.route,
        "seconds": round(attempt.seconds, 4),
        "error": attempt.error or None,
        "upstream_status": attempt.upstream_status,
        **_usage(attempt.cost),
    }
    return {name: value for name, value in told.items() if value is not None}


def _clean(value: object) -> object:
    """Every text in it on one line and without a secret, whoever put it there."""
    if isinstance(value, str):
        text = redact(value[:LONGEST])
        return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items()}
    return value
