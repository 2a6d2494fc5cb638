"""How the newer generation tells an answer: a turn becomes frames, in the order captured in 2026. Pure."""

from collections.abc import Iterator
from typing import Final, TypeAlias

from moongate.simulator.values import JsonObject
from moongate.simulator.web.frames import HEARTBEAT, Event, change, numbered, trailer
from moongate.simulator.web.refusals import WebRefusal, connect_error, exception
from moongate.simulator.web.results import found
from moongate.simulator.web.steps import Land, Step, pieces, shares
from moongate.simulator.web.turn import Turn

Part: TypeAlias = Event | Land | bytes

_EVERY: Final = 4  # deltas between two heartbeats
_DONE: Final = Event({"done": {}})
_DEGRADED: Final = "High demand. Switched to another model for speed."


def steps(turn: Turn) -> Iterator[Step]:
    refusal = turn.refusal("trailer before text")
    parts = _parts(turn) if refusal is None else _refused(turn, refusal)
    return numbered(parts, zero_frames=turn.script.zero_frames)


def _refused(turn: Turn, refusal: WebRefusal) -> Iterator[Part]:
    yield Event(HEARTBEAT)
    if not turn.script.omit_done:
        yield _DONE
    yield trailer(connect_error(refusal, bare_debug=turn.bare_debug))


def _parts(turn: Turn) -> Iterator[Part]:
    yield Event(HEARTBEAT)
    yield Event(_chat(turn))
    yield Event(change("set", "message", message=_echo(turn)))
    yield Event(change("set", "message", message=_start(turn)))
    if turn.script.degrade:
        yield Event({"notification": {"type": "TYPE_MODEL_DEGRADE", "message": _DEGRADED}})
    yield from _thinking(turn)
    yield from _unknown(turn)
    yield from map(Event, found(turn))
    if turn.script.title_first:
        yield from _title(turn)
    if turn.refusal("trailer mid-text", "exception mid-text") is not None:
        yield from _broken(turn)
        return
    yield from _text(turn, turn.said.text)
    yield from map(Event, found(turn, used=True))
    if not turn.script.title_first:
        yield from _title(turn)
    refusal = turn.refusal("trailer after done")
    yield Land("COMPLETED" if refusal is None else "FAILED")
    if not turn.script.omit_status:
        yield Event(_status(turn, "COMPLETED"))
    if not turn.script.omit_done:
        yield _DONE
    if refusal is not None:
        yield trailer(connect_error(refusal, bare_debug=turn.bare_debug))
    elif not turn.script.omit_trailer:
        yield trailer()


def _broken(turn: Turn) -> Iterator[Part]:
    """It fails when half of the text has been told."""
    yield from _text(turn, turn.said.text[: len(turn.said.text) // 2])
    if (refusal := turn.refusal("trailer mid-text")) is not None:
        yield Land("FAILED")
        yield trailer(connect_error(refusal, bare_debug=turn.bare_debug))
    elif (refusal := turn.refusal("exception mid-text")) is not None:
        told = exception(refusal)
        yield Land("FAILED", told)
        yield Event(change("set", "block.exception", block={"id": _text_block(turn, 0), "exception": told}))
        yield _DONE
        yield trailer()


def _chat(turn: Turn) -> JsonObject:
    told: JsonObject = {"id": turn.chat.id}
    if turn.script.chat_form == "plain":
        return change("set", "", chat=told)
    return change("set", "chat.lastRequest", chat={**told, "name": turn.chat.name, "lastRequest": turn.asked.options})


def _echo(turn: Turn) -> JsonObject:
    blocks: list[JsonObject] = [{"messageId": "", "text": {"content": turn.prompt.text}}] if turn.prompt.text else []
    blocks += [{"messageId": "", "file": {"id": file}} for file in turn.prompt.files]
    return {
        "id": turn.prompt.id,
        "parentId": turn.prompt.parent,
        "role": "user",
        "status": "MESSAGE_STATUS_COMPLETED",
        "blocks": blocks,
        "scenario": turn.asked.scenario,
    }


def _start(turn: Turn) -> JsonObject:
    return {
        "id": turn.answer.id,
        "parentId": turn.answer.parent,
        "role": "assistant",
        "status": "MESSAGE_STATUS_GENERATING",
    }


def _status(turn: Turn, state: str) -> JsonObject:
    """It names no role, and the user's own message has the same status."""
    return change("set", "message.status", message={"id": turn.answer.id, "status": f"MESSAGE_STATUS_{state}"})


def _title(turn: Turn) -> Iterator[Part]:
    if turn.said.title:
        yield Event(change("set", "chat.name", chat={"name": turn.said.title}))


def _thinking(turn: Turn) -> Iterator[Part]:
    told, thinking = "", turn.said.thinking
    if turn.script.thinking_form == "flags":
        yield from _flagged(turn)
        return
    for number, piece in enumerate(pieces(thinking, turn.script.piece)):
        told += piece
        if number and not turn.script.replace:
            event = change("append", "block.think.content", block={"id": "1", "think": {"content": piece}})
        else:
            event = change("set", "block.think", block={"id": "1", "think": {"content": told}})
        yield Event(event, thinking=piece)


def _flagged(turn: Turn) -> Iterator[Part]:
    """Thinking as a text that says so, between stages (read by several clients in 2026, never captured)."""
    if not turn.said.thinking:
        return
    for number, piece in enumerate(pieces(turn.said.thinking, turn.script.piece)):
        mask = "block.text.content" if number else "block.text"
        text: JsonObject = {"content": piece, "flags": "thinking"}
        yield Event(change("append" if number else "set", mask, block={"id": "1", "text": text}), thinking=piece)
    stage: JsonObject = {"name": "STAGE_NAME_THINKING", "status": "completed"}
    yield Event(change("set", "block.multiStage", block={"id": "1_0", "multiStage": {"stages": [stage]}}))


def _unknown(turn: Turn) -> Iterator[Part]:
    if turn.script.unknown_blocks:
        yield Event(change("set", "block.hologram", block={"id": "9_0", "hologram": {"content": "never seen"}}))
        yield Event(change("set", "", block={"id": "9_1", "memory": {"text": {"content": "never seen"}}}))
        yield Event({"op": "set", "mask": "orchestra", "orchestra": {"content": "never seen"}})
        yield Event({"weather": {"error": "never seen"}})


def _text_block(turn: Turn, number: int) -> str:
    return "2" if turn.script.text_blocks == 1 else f"2_{number}"


def _text(turn: Turn, text: str) -> Iterator[Part]:
    script, count = turn.script, 0
    for number, share in enumerate(shares(text, script.text_blocks)):
        told = ""
        for piece in [share] if script.whole_text_first else pieces(share, script.piece):
            event = _delta(turn, _text_block(turn, number), told, piece)
            if not told and script.empty_set_first:
                yield Event(change("set", "block.text.content", block={"id": _text_block(turn, number), "text": {}}))
            yield Event(event, text=piece)
            told += piece
            if script.heartbeats and count % _EVERY == 0:
                yield Event(HEARTBEAT)
            count += 1


def _delta(turn: Turn, block: str, told: str, piece: str) -> JsonObject:
    """A `set` replaces what the block had, an `append` extends it."""
    flags: JsonObject = {"flags": "answer"} if turn.script.thinking_form == "flags" else {}
    if turn.script.replace or (not told and not turn.script.empty_set_first):
        return change("set", "block.text", block={"id": block, "text": {"content": told + piece, **flags}})
    return change("append", "block.text.content", block={"id": block, "text": {"content": piece, **flags}})
