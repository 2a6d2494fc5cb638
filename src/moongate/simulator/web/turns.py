"""How a turn begins: what was asked is judged, entered into its chat and recorded, and a script decides the answer."""

from typing import Final

import msgspec

from moongate.simulator.script import BadScriptError
from moongate.simulator.web.asked import Asked
from moongate.simulator.web.chats import Chat, Generation, Message
from moongate.simulator.web.files import File
from moongate.simulator.web.log import FileSeen, TurnSeen
from moongate.simulator.web.refusals import WebRefusal, because
from moongate.simulator.web.script import RefuseWhen, WebScript, directive
from moongate.simulator.web.service import WebSite
from moongate.simulator.web.speech import speak
from moongate.simulator.web.turn import Turn
from moongate.simulator.web.users import User

_LEAVE_NOTHING: Final[frozenset[RefuseWhen]] = frozenset(("http", "body", "trailer before text"))
_UNTITLED: Final = {"connect": "Untitled Chat", "rest": "未命名会话"}


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """`seen` is the record of the turn, which goes on being written."""

    turn: Turn
    seen: TurnSeen
    user: User


def begin(site: WebSite, user: User, generation: Generation, asked: Asked) -> Begun | WebRefusal:
    """A turn that a script refuses before its text is begun all the same, but leaves nothing in the chat."""
    chat = _chat(site, user, generation, asked)
    if isinstance(chat, WebRefusal):
        return chat
    files = _files(site, user, asked)
    if isinstance(files, WebRefusal):
        return files
    if (refusal := _busy(site, user, generation)) is not None:
        return refusal
    try:
        script = directive(asked.text) or site.queue.take(user.name)
    except BadScriptError as error:
        return because("invalid_argument", f"simulate-web: {error}")
    turn = _entered(site, user, chat, asked, script, generation)
    seen = _recorded(site, user, turn, files, generation)
    if script.refusal() is not None and script.refused_when() in _LEAVE_NOTHING:
        _taken_back(site, turn)
        seen.state = "refused"
    return Begun(turn=turn, seen=seen, user=user)


def _chat(site: WebSite, user: User, generation: Generation, asked: Asked) -> Chat | WebRefusal | None:
    """None for one that is still to be made."""
    if asked.chat is None:
        return None
    chat = site.chats.of(user.name, asked.chat, generation)
    if chat is None:
        return because("invalid_argument" if generation == "connect" else "not_found", "chat not found")
    if asked.parent and not chat.knows(asked.parent):
        return because("invalid_argument", "parent message not found")
    if asked.action == "continue" and asked.segment not in chat.messages:
        return because("invalid_argument", "segment not found")
    return chat


def _files(site: WebSite, user: User, asked: Asked) -> list[File] | WebRefusal:
    files = [site.files.of(user.name, name) for name in asked.files]
    found = [file for file in files if file is not None and file.is_parsed]
    if len(found) < len(files):
        return because("invalid_argument", "a file is unknown or has not been parsed yet")
    return found


def _busy(site: WebSite, user: User, generation: Generation) -> WebRefusal | None:
    most = site.knobs.connect_streams if generation == "connect" else site.knobs.rest_streams
    if most is None or user.active < most:
        return None
    return because("parallel", "Too many parallel conversations are being generated for this user.")


def _entered(
    site: WebSite, user: User, known: Chat | None, asked: Asked, script: WebScript, generation: Generation
) -> Turn:
    chat = known or site.chats.begin(user.name, generation, _UNTITLED[generation])
    is_new = not chat.messages
    chat.last_request = asked.options
    goes_on = asked.action == "continue"
    prompt = chat.messages[asked.segment] if goes_on else _prompt(site, chat, asked)
    parent = chat.tip if goes_on else prompt.id
    messages = len(chat.chain(parent))
    said = speak(script, asked, messages=messages, is_new=is_new, is_older=generation == "rest")
    answer = site.chats.add(chat, parent, "assistant", "", "GENERATING")
    answer.scenario, answer.results = asked.scenario, said.results
    return Turn(
        chat=chat,
        prompt=prompt,
        answer=answer,
        asked=asked,
        script=script,
        said=said,
        is_new=is_new,
        bare_debug=site.knobs.bare_debug,
    )


def _prompt(site: WebSite, chat: Chat, asked: Asked) -> Message:
    """The user's message; one that is edited stands beside what it was."""
    edited = chat.messages.get(asked.message)
    prompt = site.chats.add(chat, edited.parent if edited else asked.parent or chat.tip, "user", asked.text)
    prompt.files, prompt.scenario = asked.files, asked.scenario
    return prompt


def _recorded(site: WebSite, user: User, turn: Turn, files: list[File], generation: Generation) -> TurnSeen:
    asked = turn.asked
    seen = TurnSeen(
        generation=generation,
        user=user.name,
        chat=turn.chat.id,
        message=turn.answer.id,
        context=tuple(turn.chat.context(turn.answer.parent)),
        files=tuple(FileSeen(id=file.id, name=file.name, size=file.size, digest=file.digest) for file in files),
        model=asked.model,
        scenario=asked.scenario,
        kimiplus=asked.kimiplus,
        agent_mode=asked.agent_mode,
        system_prompt=asked.system_prompt,
        effort=asked.effort,
        thinking=asked.thinking,
        search=asked.search,
        action=asked.action,
        is_new=turn.is_new,
    )
    site.record(seen)
    return seen


def _taken_back(site: WebSite, turn: Turn) -> None:
    del turn.chat.messages[turn.answer.id]
    if turn.asked.action != "continue":
        del turn.chat.messages[turn.prompt.id]
    if turn.asked.chat is None:
        del site.chats.all[turn.chat.id]
