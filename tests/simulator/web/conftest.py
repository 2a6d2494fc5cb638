"""A client of the simulated web site, in both its generations, over TCP."""

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
import pytest

from moongate.simulator import Simulator
from moongate.simulator.web import WebScript

CHAT = "/apiv2/kimi.gateway.chat.v1.ChatService"


class Heard(msgspec.Struct, frozen=True):
    """An answer as it was read."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    is_cut: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def frames(self) -> list[tuple[int, Any]]:
        """Whole frames of Connect, those of length zero left out."""
        found, rest = [], self.raw
        while len(rest) >= 5:
            flags, length = struct.unpack(">BI", rest[:5])
            if len(rest) < 5 + length:
                break
            if length:
                found.append((flags, json.loads(rest[5 : 5 + length])))
            rest = rest[5 + length :]
        return found

    @property
    def data(self) -> list[Any]:
        """The payloads of data frames but heartbeats."""
        return [value for flags, value in self.frames if flags == 0 and "heartbeat" not in value]

    @property
    def trailer(self) -> Any:
        """None if there is none."""
        return next((value for flags, value in self.frames if flags == 2), None)

    @property
    def events(self) -> list[Any]:
        """The payloads of server-sent events."""
        lines = self.raw.decode().split("\n\n")
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]

    def joined(self, event: str) -> str:
        return "".join(told.get("text", "") for told in self.events if told["event"] == event)

    @property
    def blocks(self) -> dict[str, dict[str, str]]:
        """By id of the block and kind, what set and append made of it."""
        made: dict[str, dict[str, str]] = {}
        for event in self.data:
            block = event.get("block", {})
            for kind in ("text", "think"):
                if kind in block:
                    known = made.setdefault(block["id"], {})
                    content = block[kind].get("content", "")
                    known[kind] = known.get(kind, "") + content if event["op"] == "append" else content
        return made

    @property
    def text(self) -> str:
        return "".join(block.get("text", "") for block in self.blocks.values())

    @property
    def thinking(self) -> str:
        return "".join(block.get("think", "") for block in self.blocks.values())

    @property
    def chat(self) -> str:
        return next(value["chat"]["id"] for value in self.data if "id" in value.get("chat", {}))

    def message(self, role: str) -> Any:
        return next(v["message"] for v in self.data if v.get("message", {}).get("role") == role)

    @property
    def answer(self) -> str:
        """The id of the assistant's message."""
        return self.message("assistant")["id"]


class Client:
    """Asks as one user."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession, name: str) -> None:
        self.sim = sim
        self.session = session
        self.name = name

    @property
    def user(self):
        return self.sim.web.user(self.name)

    async def send(self, method: str, path: str, body: object = None, **headers: str) -> Heard:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.user.access_token}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = self.session.request(method, self.sim.url + path, data=io.BytesIO(data), headers=sent)
        async with request as response:
            raw, is_cut = b"", False
            try:
                async for piece in response.content.iter_any():
                    raw += piece
            except aiohttp.ClientPayloadError:
                is_cut = True
            return Heard(response.status, response.headers, raw, is_cut)

    async def call(self, method: str, body: object = None, service: str = CHAT, **headers: str) -> Heard:
        """A plain call of the newer generation."""
        return await self.send("POST", f"{service}/{method}", {} if body is None else body, **headers)

    def request(self, text: str, chat: str = "", parent: str = "", **members: object) -> dict[str, object]:
        message: dict[str, object] = {"role": "user", "blocks": [{"message_id": "", "text": {"content": text}}]}
        if parent:
            message["parent_id"] = parent
        asked = {"scenario": "SCENARIO_CHAT", "message": message, "options": {"thinking": False}, **members}
        return {**asked, "chat_id": chat} if chat else asked

    async def ask(
        self, text: str = "Hi", script: WebScript | None = None, *, chat: str = "", parent: str = "", **members: object
    ) -> Heard:
        """A turn of the newer generation."""
        if script is not None:
            self.sim.web.enqueue(script, self.name)
        return await self.framed(self.request(text, chat, parent, **members))

    async def framed(self, body: object) -> Heard:
        payload = json.dumps(body).encode()
        envelope = struct.pack(">BI", 0, len(payload)) + payload
        return await self.send("POST", f"{CHAT}/Chat", envelope, Content_Type="application/connect+json")

    async def new(self) -> str:
        """A chat of the older generation."""
        body = {"name": "未命名会话", "is_example": False}
        return (await self.send("POST", "/api/chat", body)).json["id"]

    async def say(self, text: str, script: WebScript | None = None, *, chat: str = "", **members: object) -> Heard:
        """A turn of the older generation."""
        if script is not None:
            self.sim.web.enqueue(script, self.name)
        body = {"kimiplus_id": "kimi", "model": "k2", "messages": [{"role": "user", "content": text}], **members}
        return await self.send("POST", f"/api/chat/{chat or await self.new()}/completion/stream", body)


@pytest.fixture
async def ada(sim: Simulator, session: aiohttp.ClientSession) -> Client:
    return Client(sim, session, "ada")


@pytest.fixture
async def ben(sim: Simulator, session: aiohttp.ClientSession) -> Client:
    return Client(sim, session, "ben")
