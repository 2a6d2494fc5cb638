"""How an answer goes out: frames of bytes and the script's faults become a list of steps. Pure; others perform it."""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from moongate.simulator.script import Script
from moongate.simulator.values import JsonObject, dumps

Outcome = Literal["answered", "refused", "cut"]

_WHOLE_PIECE: Final = 64
_BROKEN: Final = b'{"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"'


class Send(msgspec.Struct, frozen=True):
    """Bytes of the HTTP body. Once they are out, `share` of the answer, from 0 to 1, has been told; None: as before."""

    data: bytes
    share: float | None = None


class Wait(msgspec.Struct, frozen=True):
    """Silence for a time."""

    seconds: float


class Stall(msgspec.Struct, frozen=True):
    """Silence until the client goes."""


class Cut(msgspec.Struct, frozen=True):
    """Abort the connection."""


class Settle(msgspec.Struct, frozen=True):
    """From here on the outcome is certain, even if the client goes."""

    outcome: Outcome


Step: TypeAlias = Send | Wait | Stall | Cut | Settle
Steps: TypeAlias = tuple[Step, ...]
# After how many frames the answer leaves its course, and what happens instead of the rest.
_Ending: TypeAlias = tuple[int | None, Steps]


def stream(script: Script, chunks: Iterable[JsonObject], error: bytes) -> Steps:
    """The steps of an SSE body. `error` is the JSON that `error_after` tells in-band."""
    newline = b"\r\n" if script.crlf else b"\n"
    comment = b": simulated" + 2 * newline if script.comments else b""

    def event(data: bytes) -> bytes:
        return b"data: " + data + 2 * newline

    frames = [Send(comment + data, share) for data, share in _shared([event(dumps(chunk)) for chunk in chunks])]
    steps: list[Steps] = [(frame,) for frame in frames]
    broken = script.malformed_after
    if broken is not None and broken <= len(frames):
        steps.insert(broken, (Send(event(_BROKEN)),))
    done = () if script.omit_done else (Send(event(b"[DONE]")),)
    return _course(script, steps, _endings(script, event(error)), (*done, Settle("answered")))


def whole(script: Script, body: bytes, error: bytes, outcome: Outcome = "answered") -> Steps:
    """The steps of a body that is one document, also of a refusal. It goes out at once unless a fault counts pieces."""
    endings = [*_endings(script, error), (script.malformed_after, (Send(_BROKEN), Settle(outcome)))]
    counted = script.pause > 0 or any(after is not None for after, _ in endings)
    size = _WHOLE_PIECE if counted else max(1, len(body))
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return _course(script, [(Send(*piece),) for piece in _shared(pieces)], endings, (Settle(outcome),))


def length(steps: Steps, body: bytes) -> int:
    """The Content-Length to announce for a whole body: what will be sent, or what would be if nothing broke off."""
    if any(isinstance(step, Stall | Cut) for step in steps):
        return len(body)
    return sum(len(step.data) for step in steps if isinstance(step, Send))


def _shared(frames: list[bytes]) -> list[tuple[bytes, float]]:
    return [(frame, number / len(frames)) for number, frame in enumerate(frames, 1)]


def _wait(seconds: float) -> Steps:
    return (Wait(seconds),) if seconds else ()


def _endings(script: Script, error: bytes) -> list[_Ending]:
    return [
        (script.stall_after, (Stall(),)),
        (script.cut_after, (Settle("cut"), Cut())),
        (script.close_after, (Settle("cut"),)),
        (script.error_after, (Send(error), Settle("refused"))),
    ]


def _course(script: Script, frames: list[Steps], endings: list[_Ending], close: Steps) -> Steps:
    """Frame after frame, up to the earliest ending that is reached, else to the close."""
    reached = [(after, steps) for after, steps in endings if after is not None and after <= len(frames)]
    count, last = min(reached, key=lambda ending: ending[0], default=(len(frames), close))
    hold = _wait(script.hold_open_after_done) if last is close else ()
    paused = [_wait(script.pause if number else 0.0) + frame for number, frame in enumerate(frames[:count])]
    return (*_wait(script.silent_before_first_chunk), *(step for steps in paused for step in steps), *last, *hold)
