"""Chats and messages as the newer generation lists them (several independent clients, 2026)."""

from datetime import UTC, datetime, timedelta
from typing import Final

from moongate.simulator.values import JsonObject
from moongate.simulator.web.chats import Chat, Message
from moongate.simulator.web.results import chunk

_BEGINNING: Final = datetime(2026, 9, 15, tzinfo=UTC)


def moment(at: int) -> str:
    """A time that rises with every message, and is the same in every run."""
    return (_BEGINNING + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%SZ")


def chat_shown(chat: Chat) -> JsonObject:
    newest = chat.messages[chat.tip] if chat.messages else None
    return {
        "id": chat.id,
        "name": chat.name,
        "status": "STATUS_GENERATING" if newest and newest.state == "GENERATING" else "STATUS_COMPLETED",
        "files": [{"id": file} for message in chat.messages.values() for file in message.files],
        "messageContent": newest.text[:100] if newest else "",
        "lastRequest": chat.last_request,
        "createTime": moment(chat.at),
        "updateTime": moment(newest.at if newest else chat.at),
    }


def messages_shown(chat: Chat) -> list[JsonObject]:
    """Newest first, at the end the root, which is the chat itself and has no blocks."""
    root: JsonObject = {"id": chat.id, "role": "system", "status": "MESSAGE_STATUS_COMPLETED", "blocks": []}
    return [*(_message(chat, message) for message in reversed(chat.messages.values())), root]


def _message(chat: Chat, message: Message) -> JsonObject:
    children = [child.id for child in chat.messages.values() if child.parent == message.id]
    told: JsonObject = {
        "id": message.id,
        "parentId": message.parent,
        "role": message.role,
        "status": f"MESSAGE_STATUS_{message.state}",
        "scenario": message.scenario,
        "blocks": _blocks(message),
        "createTime": moment(message.at),
    }
    if children:
        told["childrenMessageIds"] = children
    if message.results:
        chunks = [chunk(number, result) for number, result in enumerate(message.results, 1)]
        told["refs"] = {"searchChunks": chunks, "usedSearchChunks": chunks}
    return told


def _blocks(message: Message) -> list[JsonObject]:
    """An answer that was taken back has an exception instead of a text."""
    contents: list[JsonObject] = []
    if message.thinking:
        contents.append({"think": {"content": message.thinking}})
    if message.exception is not None:
        contents.append({"exception": message.exception})
    elif message.text:
        contents.append({"text": {"content": message.text}})
    contents += [{"file": {"id": file, "status": "PROCESS_STATUS_SUCCESS"}} for file in message.files]
    return [{"id": str(number), "messageId": message.id, **content} for number, content in enumerate(contents, 1)]
