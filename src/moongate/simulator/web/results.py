"""How the newer generation tells what a search found: four forms, seen one after another from 2025-09 to 2026-10."""

from collections.abc import Iterator
from typing import Final

from moongate.simulator.values import JsonObject, dumps
from moongate.simulator.web.frames import change
from moongate.simulator.web.script import SearchResult
from moongate.simulator.web.speech import ref_index
from moongate.simulator.web.turn import Turn

_FORMS: Final = frozenset(("web_pages", "search_chunks", "references", "tool"))
_NEWEST: Final = "tool"


def found(turn: Turn, *, used: bool = False) -> Iterator[JsonObject]:
    """The events before the text; with `used`, those after it."""
    if not turn.said.results:
        return
    form = turn.script.search_form or _NEWEST
    match form if form in _FORMS else _NEWEST:
        case "web_pages":
            yield from () if used else _web_pages(turn)
        case "search_chunks":
            yield from _used(turn) if used else [_chunks(turn)]
        case "references":
            yield from () if used else [_references(turn)]
        case _:
            yield from _used(turn) if used else [*_tool(turn), _chunks(turn)]


def chunk(number: int, result: SearchResult) -> JsonObject:
    return {"id": str(number), "refIndex": ref_index(number), "base": base(result)}


def base(result: SearchResult) -> JsonObject:
    return {
        "title": result.title,
        "url": result.url,
        "siteName": result.site_name,
        "iconUrl": "",
        "snippet": result.snippet,
        **({"publishTime": result.date} if result.date else {}),
    }


def _all(turn: Turn) -> list[JsonObject]:
    return [chunk(number, result) for number, result in enumerate(turn.said.results, 1)]


def _web_pages(turn: Turn) -> Iterator[JsonObject]:
    """2025-09 to 2026-01; half of the pages come in a `ref` frame."""
    pages = [base(result) for result in turn.said.results]
    half = (len(pages) + 1) // 2
    keywords: JsonObject = {"keywords": list(turn.script.queries)}
    yield change("append", "block.search.keywords", block={"id": "0_0", "search": keywords})
    yield change("append", "block.search.webPages", block={"id": "0_0", "search": {"webPages": pages[:half]}})
    if pages[half:]:
        yield change("append", "ref.search.webPages", ref={"search": {"webPages": pages[half:]}})


def _chunks(turn: Turn) -> JsonObject:
    """Since 2026-03."""
    return change("append", "message.refs.searchChunks", message={"refs": {"searchChunks": _all(turn)}})


def _used(turn: Turn) -> Iterator[JsonObject]:
    chunks = _all(turn)
    used = [chunks[number - 1] for number in turn.said.used if number]
    if used:
        yield change("set", "message.refs.usedSearchChunks", message={"refs": {"usedSearchChunks": used}})


def _tool(turn: Turn) -> Iterator[JsonObject]:
    """Since 2026-06: a built-in tool whose arguments come in fragments and whose name comes once."""
    arguments = dumps({"queries": list(turn.script.queries)}).decode()
    begun: JsonObject = {"toolCallId": "web_search_0", "name": "web_search", "status": "STATUS_PENDING"}
    yield change("set", "", block={"id": "1_1", "tool": begun})
    half = len(arguments) // 2
    for part in (arguments[:half], arguments[half:]):
        yield change("append", "block.tool.args", block={"id": "1_1", "tool": {"args": part}})
    done: JsonObject = {"contents": [{"searchResult": item} for item in _all(turn)], "status": "STATUS_DONE"}
    yield change("set", "block.tool.contents,block.tool.status", block={"id": "1_1", "tool": done})


def _references(turn: Turn) -> JsonObject:
    """As in histories and shared pages."""
    items = [{"search": {"refIndex": item["refIndex"], "base": item["base"]}} for item in _all(turn)]
    return change("set", "message.references", message={"references": [{"items": items}]})
