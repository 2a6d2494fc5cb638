"""A Kimi account as a person uses it in the browser, spoken to in whichever generation its site speaks."""

import time
from collections.abc import Callable
from functools import partial
from typing import assert_never

from msgspec import Struct, structs

from moongate.core import estimate
from moongate.core.abilities import Abilities
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Anchored
from moongate.core.prompt import Media, Prompt
from moongate.core.route import ListedModel, Route
from moongate.core.sealed import Sealed
from moongate.core.standing import Standing
from moongate.core.turn import Anchor, Turn
from moongate.dialects.dialect import Decoder
from moongate.upstreams.kimi_web import connect_call, files, models, rest_call, standing
from moongate.upstreams.kimi_web.citations import Marks
from moongate.upstreams.kimi_web.connect import ConnectDecoder
from moongate.upstreams.kimi_web.headers import Caller
from moongate.upstreams.kimi_web.models import Menu, Wish
from moongate.upstreams.kimi_web.refusals import explain, of_a_continued_chat
from moongate.upstreams.kimi_web.rest import RestDecoder
from moongate.upstreams.kimi_web.site import Site
from moongate.upstreams.upstream import Opening
from moongate.wire.http import Flow, HttpCall, HttpHead, HttpReply

DIALECT = "kimi.web"

LENGTH = 262_144 * estimate.CHARACTERS_A_TOKEN
"""Characters that are sure to be too many: the site's models read 262,144 tokens (2026)."""

ABILITIES = Abilities(media=frozenset({"image", "file"}), can_think=True, length=LENGTH)

ESTIMATED = "usage is an estimate: the site counts no tokens"


class Asked(Struct, frozen=True):
    """What a turn comes to: one message of the user's, and how it is to be answered."""

    text: str
    files: tuple[files.File, ...]
    wish: Wish
    thinking: bool
    anchor: Anchor | None

    @property
    def tokens(self) -> int:
        """Roughly: of what is new, as the site does not tell how it reads what it knows."""
        return estimate.told(len(self.text)) + estimate.MEDIUM * len(self.files)


class KimiWeb:
    """`base_url` is the site's address, with `www.` (the bare `kimi.ai` answers 405, seen 2026). `marks`: what becomes
    of the marks for citations in a text."""

    def __init__(
        self,
        base_url: str,
        user_agent: str,
        site: Site,
        marks: Marks = "links",
        name: str = models.NAME,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._user_agent = user_agent
        self._site = site
        self._marks = marks
        self._clock = clock

    def abilities(self, model: str, dialect: str) -> Abilities:
        return ABILITIES

    def open(self, turn: Turn, route: Route, credential: Sealed) -> Flow[Opening]:
        asked = _asked(turn, route)
        caller = self._caller(credential)
        found = yield from self._site.look(caller)
        match found.generation:
            case "connect":
                return (yield from self._in_connect(caller, asked, found.menu))
            case "rest":
                return (yield from self._in_rest(caller, asked))
            case generation:
                assert_never(generation)

    def models(self, credential: Sealed) -> Flow[tuple[ListedModel, ...]]:
        found = yield from self._site.look(self._caller(credential))
        return tuple(structs.replace(model, upstream=self.name) for model in models.listed(found.menu))

    def standing(self, credential: Sealed) -> Flow[Standing | None]:
        caller = self._caller(credential)
        found = yield from self._site.look(caller)
        return (yield from standing.ask(caller, found.generation, self._clock))

    def group(self, model: str) -> str:
        return "all"

    def stop(self, chat: str, message: str, credential: Sealed) -> Flow[None]:
        caller = self._caller(credential)
        found = yield from self._site.look(caller)
        if found.generation == "connect":
            reply = yield connect_call.cancel(caller, chat, message)
            self._check(caller, reply)

    def forget(self, chat: str, credential: Sealed) -> Flow[None]:
        """A chat that is gone already is no failure."""
        caller = self._caller(credential)
        found = yield from self._site.look(caller)
        if found.generation == "rest":
            reply = yield rest_call.delete(caller, chat)
        else:
            for path in connect_call.DELETE:  # 404 may speak of the chat, or of the path
                reply = yield connect_call.delete(caller, chat, path)
                if reply.head.status != 404:
                    break
        self._check(caller, reply)

    def _in_connect(self, caller: Caller, asked: Asked, menu: Menu | None) -> Flow[Opening]:
        choice = models.chosen(menu, asked.wish)
        ids = yield from files.in_turn(files.upload(caller, file) for file in asked.files)
        question = connect_call.Question(asked.text, ids, asked.thinking, asked.wish.search, asked.anchor)
        read = partial(
            ConnectDecoder,
            partial(self._explain, caller),
            marks=self._marks_for(asked),
            asked_tokens=asked.tokens,
            continues=asked.anchor is not None,
            chat=asked.anchor.chat if asked.anchor else "",
        )
        notes = (choice.note, ESTIMATED) if choice.note else (ESTIMATED,)
        return self._opening(connect_call.chat(caller, choice, question), caller, asked, read, notes)

    def _in_rest(self, caller: Caller, asked: Asked) -> Flow[Opening]:
        model = models.legacy(asked.wish, thinking=asked.thinking)
        chat = asked.anchor.chat if asked.anchor else (yield from rest_call.create(caller))
        try:
            ids = yield from files.in_turn(files.upload_legacy(caller, file, chat) for file in asked.files)
        except GatewayError:
            if asked.anchor is None:
                yield rest_call.delete(caller, chat)  # nobody else knows of it
            raise
        call = rest_call.complete(caller, chat, model, asked.text, ids, search=asked.wish.search)
        read = partial(
            RestDecoder,
            partial(self._explain, caller),
            marks=self._marks_for(asked),
            asked_tokens=asked.tokens,
            continues=asked.anchor is not None,
            chat=chat,
        )
        opening = self._opening(call, caller, asked, read, (ESTIMATED,))
        return structs.replace(opening, anchored=Anchored(chat))

    def _opening(
        self, call: HttpCall, caller: Caller, asked: Asked, read: Callable[[], Decoder], notes: tuple[str, ...]
    ) -> Opening:
        plain = partial(self._explain, caller)
        explained = of_a_continued_chat(plain) if asked.anchor else plain
        return Opening(call, lambda _: read(), DIALECT, explained, notes)  # what is no stream is told by its first byte

    def _marks_for(self, asked: Asked) -> Marks:
        """Where nothing is searched, what looks like a mark is the answer's own: people write footnotes, too."""
        return self._marks if asked.wish.search else "raw"

    def _caller(self, credential: Sealed) -> Caller:
        return Caller(self._base_url, self._user_agent, credential)

    def _check(self, caller: Caller, reply: HttpReply) -> None:
        if reply.head.status != 404 and not 200 <= reply.head.status < 300:
            raise self._explain(caller, reply.head, reply.body)

    def _explain(self, caller: Caller, head: HttpHead, body: bytes) -> GatewayError:
        error = explain(head, body, caller.token.reveal())
        if error.kind is Kind.MISDIRECTED:
            message = f"{error.message}: {self._base_url} was asked"
            return GatewayError(error.kind, message, upstream_status=error.upstream_status)
        return error


def _asked(turn: Turn, route: Route) -> Asked:
    """Raises GatewayError for what cannot be sent to a web account, before anything is."""
    prompt = turn.prompt()
    message = prompt.messages[-1]
    media = (part for part in message.parts if isinstance(part, Media))
    wish = models.wish(route.model)
    return Asked(message.text, files.files(media), wish, _thinks(prompt, route, wish), turn.anchor)


def _thinks(prompt: Prompt, route: Route, wish: Wish) -> bool:
    """What the caller said of it comes before what the model's name says."""
    return prompt.thinking if prompt.thinking is not None else route.thinking or bool(wish.thinking)
