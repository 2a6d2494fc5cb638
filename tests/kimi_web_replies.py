"""Replies of the web chat, heard through the driver by a decoder under test."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Anchored, Cited, Packet
from moongate.core.reply import Block, Reply
from moongate.dialects.dialect import Decoder
from moongate.upstreams.driver import Deadlines, converse
from moongate.upstreams.kimi_web.refusals import explain
from moongate.upstreams.upstream import Opening
from moongate.wire.http import HttpCall
from scripted import FOREVER, Heard, Played, Stage

CORPUS = Path(__file__).parent / "corpus"
ASKED_TOKENS = 7
TOKEN = "eyJhbGciOi.example.token"


async def _packets(decoder: Callable[[], Decoder], incoming: Played) -> AsyncIterator[Packet]:
    deadlines = Deadlines(asyncio.get_running_loop().time() + FOREVER, FOREVER, FOREVER)
    deadlines = msgspec.structs.replace(deadlines, end=deadlines.first_byte)
    opening = Opening(HttpCall("POST", "https://kimi.example/chat"), lambda _: decoder(), "kimi.web", explain)
    async with converse(opening, Stage(incoming), deadlines) as spoken:
        async for packet in spoken.packets:
            yield packet


async def hear(decoder: Callable[[], Decoder], *parts: bytes | Exception) -> Heard:
    heard = Heard()
    try:
        async for packet in _packets(decoder, Played(*filter(None, parts))):
            heard.packets.append(packet)
    except GatewayError as error:
        heard.failure = error
    return heard


class Expected:
    """What a case of the corpus comes to."""

    def __init__(self, folder: Path) -> None:
        self.told: dict[str, Any] = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        kinds = {kind.code: kind for kind in Kind}
        self.error = kinds[self.told["error"]] if "error" in self.told else None

    @property
    def blocks(self) -> tuple[Block, ...]:
        return msgspec.convert(self.told["blocks"], tuple[Block, ...])

    @property
    def says(self) -> str:
        return str(self.told.get("says", ""))

    def check(self, reply: Reply) -> None:
        assert reply.id == self.told["id"]
        assert reply.blocks == self.blocks
        assert reply.citations == tuple(Cited(*one) for one in self.told["citations"])
        assert reply.anchor == Anchored(*self.told["anchor"])
        assert reply.reason == self.told["reason"]
        assert reply.usage is not None
        assert reply.usage.is_estimate
        assert reply.usage.input == ASKED_TOKENS
        assert reply.usage.thinking <= reply.usage.output


def refused(reader: Decoder, parts: Iterable[bytes]) -> Kind | None:
    """What came of reading these: None where nothing went wrong."""
    try:
        for part in parts:
            list(reader.feed(part))
        list(reader.end())
    except GatewayError as error:
        return error.kind
    return None
