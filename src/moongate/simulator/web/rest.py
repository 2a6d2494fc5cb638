"""How the older generation tells an answer: a turn becomes server-sent events, as seen from 2024 to 2026. Pure."""

from collections.abc import Iterator
from typing import TypeAlias

from moongate.simulator.values import JsonObject, dumps
from moongate.simulator.web.refusals import WebRefusal, rest_error
from moongate.simulator.web.script import SearchResult
from moongate.simulator.web.steps import Land, Step, Tell, pieces
from moongate.simulator.web.turn import Turn

_Told: TypeAlias = Land | Tell


def event(name: str, thinking: str = "", text: str = "", **fields: object) -> Tell:
    return Tell(line({"event": name, **fields}), thinking, text)


def line(value: JsonObject) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"


def steps(turn: Turn) -> Iterator[Step]:
    group, script = turn.prompt.parent, turn.script
    refs = list(turn.prompt.files)
    yield event("req", id=turn.prompt.id, group_id=group, content=turn.prompt.text, refs=refs)
    yield event("resp", id=turn.answer.id, group_id=group)
    if (refusal := turn.refusal("trailer before text")) is not None:
        yield _error(refusal)
        return
    yield from _found(turn)
    yield from _thinking(turn)
    if script.unknown_blocks:
        yield event("hologram", content="never seen")
        yield event("zone_set", zone_type="answer")
    if (refusal := turn.refusal("trailer mid-text", "exception mid-text")) is not None:
        yield from _text(turn, turn.said.text[: len(turn.said.text) // 2])
        yield from _failed(refusal)
        return
    if script.title_first:
        yield from _title(turn)
    yield from _text(turn, turn.said.text)
    yield from _cited(turn)
    if not script.title_first:
        yield from _title(turn)
    yield from _end(turn)


def _end(turn: Turn) -> Iterator[_Told]:
    if turn.script.length:
        yield event("length")
    refusal = turn.refusal("trailer after done")
    if refusal is None:
        yield Land("COMPLETED")
    if not turn.script.omit_done:
        yield event("done")
    if refusal is not None:
        yield from _failed(refusal)
    elif not turn.script.omit_all_done:
        yield event("all_done")


def _failed(refusal: WebRefusal) -> Iterator[_Told]:
    yield Land("FAILED")
    yield _error(refusal)


def _error(refusal: WebRefusal) -> Tell:
    return event("error", error={**rest_error(refusal), "detail": "simulated"})


def _title(turn: Turn) -> Iterator[Tell]:
    if turn.said.title:
        yield Tell(line({"event": "rename", "text": turn.said.title}))


def _thinking(turn: Turn) -> Iterator[Tell]:
    name = "think" if turn.script.thinking_form == "think" else "k1"
    for piece in pieces(turn.said.thinking, turn.script.piece):
        yield Tell(line({"event": name, "text": piece}), thinking=piece)


def _text(turn: Turn, text: str) -> Iterator[Tell]:
    said = [text] if text and turn.script.whole_text_first else pieces(text, turn.script.piece)
    for number, piece in enumerate(said):
        yield Tell(line({"event": "cmpl", "text": piece}), text=piece)
        if turn.script.heartbeats and number % 4 == 0:
            yield event("ping")


def _found(turn: Turn) -> Iterator[Tell]:
    results, queries = turn.said.results, list(turn.script.queries)
    if not results or turn.script.search_form == "ref_docs":
        return
    if turn.script.search_form == "k1":
        yield event("k1", type="search_targets", search_targets=queries)
        yield event("k1", type="search_results", search_results=[_page(result) for result in results])
        return
    yield event("search_plus", msg={"type": "start_res"})
    yield event("search_plus", msg={"type": "target", "targets": queries})
    for number, result in enumerate(results, 1):
        told = {"type": "get_res", "successNum": number, **_page(result)}
        yield event("search_plus", msg={**told, "site_name": result.site_name, "date": result.date})


def _cited(turn: Turn) -> Iterator[Tell]:
    if not turn.said.results:
        return
    if turn.script.search_form == "ref_docs":
        pages = [{"id": str(n), "index": n, **_page(result)} for n, result in enumerate(turn.said.results, 1)]
        yield event("ref_docs", ref_cards=pages)
    elif turn.script.search_form != "k1":
        yield event("search_citation", values={str(number): {} for number in turn.said.used})


def _page(result: SearchResult) -> JsonObject:
    return {"title": result.title, "url": result.url, "snippet": result.snippet}
