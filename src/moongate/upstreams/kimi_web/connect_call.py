"""What a site of the newer generation is asked: one message, in the form it took in 2026-09 where it tells models by
id, else in that of 2026-05."""

import msgspec

from moongate.core.turn import Anchor
from moongate.upstreams.kimi_web.headers import CONNECT_JSON, Caller
from moongate.upstreams.kimi_web.models import NO_EFFORT, Choice
from moongate.wire.connect import encode_envelope
from moongate.wire.http import HttpCall

CHAT = "apiv2/kimi.gateway.chat.v1.ChatService/Chat"
CANCEL = "apiv2/kimi.gateway.chat.v1.ChatService/CancelChat"
DELETE = ("apiv2/kimi.chat.v1.ChatService/DeleteChat", "apiv2/kimi.gateway.chat.v1.ChatService/DeleteChat")
"""Both names were seen, the first one more often."""

SEARCH = {"type": "TOOL_TYPE_SEARCH", "search": {}}
READY = "PROCESS_STATUS_SUCCESS"

_write = msgspec.json.Encoder().encode


class Question(msgspec.Struct, frozen=True):
    """`files`: ids of what was uploaded for it."""

    text: str
    files: tuple[str, ...] = ()
    thinking: bool = False
    search: bool = True
    anchor: Anchor | None = None


def chat(caller: Caller, choice: Choice, question: Question) -> HttpCall:
    """The request is a stream, too, of one envelope: bare JSON is refused (several independent clients, 2026)."""
    return caller.connect(CHAT, encode_envelope(_write(_body(choice, question))), CONNECT_JSON)


def cancel(caller: Caller, chat_id: str, message: str) -> HttpCall:
    return caller.rpc(CANCEL, {"chat_id": chat_id, "message_id": message})


def delete(caller: Caller, chat_id: str, path: str = DELETE[0]) -> HttpCall:
    return caller.rpc(path, {"chat_id": chat_id})


def _body(choice: Choice, question: Question) -> dict[str, object]:
    tells_ids = bool(choice.model_id)
    return {
        **_where(choice, question.anchor),
        "scenario": choice.scenario,
        **({"kimiplus_id": choice.kimiplus_id} if choice.kimiplus_id else {}),
        **({"agentMode": choice.agent_mode} if choice.agent_mode else {}),
        "tools": [SEARCH] if question.search else [],
        "message": {
            **({"parent_id": question.anchor.message} if question.anchor and question.anchor.message else {}),
            "role": "user",
            "blocks": _blocks(question),
            "scenario": choice.scenario,
            **({"is_goal": False} if tells_ids else {}),
        },
        "options": _options(choice, question.thinking),
        **({"project_id": ""} if tells_ids and question.anchor is None else {}),
    }


def _where(choice: Choice, anchor: Anchor | None) -> dict[str, object]:
    """A new chat has no id. Agents want an empty one (2026-09), which others refuse (2026-06)."""
    if anchor is not None:
        return {"chat_id": anchor.chat}
    return {"chat_id": ""} if choice.kimiplus_id else {}


def _blocks(question: Question) -> list[object]:
    """Files come after the text, as in what the site's own page sends (captured 2026-06 and 2026-09)."""
    return [
        {"message_id": "", "text": {"content": question.text}},
        *({"file": {"id": file, "status": READY}} for file in question.files),
    ]


def _options(choice: Choice, thinking: bool) -> dict[str, object]:
    """Where there are efforts these decide, and `thinking` agrees with them."""
    effort = choice.effort(thinking)
    return {
        "thinking": effort != NO_EFFORT if effort else thinking,
        "enable_plugin": True,
        **({"reasoning_effort": effort} if effort else {}),
        **({"model": choice.model_id} if choice.model_id else {}),
    }
