"""What a site of the older generation is asked: a chat is made first, and then spoken in (the form of 2025).

A reply cannot be stopped there: no call for it is known.
"""

import re
from urllib.parse import quote

from moongate.core.errors import GatewayError
from moongate.upstreams.kimi_web.answers import said, word
from moongate.upstreams.kimi_web.headers import Caller
from moongate.upstreams.kimi_web.refusals import explain
from moongate.wire.http import Flow, HttpCall

NEW_CHAT = {
    "name": "未命名会话",
    "is_example": False,
    "enter_method": "new_chat",
    "kimiplus_id": "kimi",
    "born_from": "home",
    "source": "web",
    "tags": [],
}

_LINK = re.compile(r"(?<!\S)https?://[^\s<>\"'`]++(?!\S)")
_AFTER = ".,;:!?。，；：！？"


def create(caller: Caller) -> Flow[str]:
    """The new chat's id. Raises GatewayError."""
    reply = yield caller.rest("POST", "/api/chat", NEW_CHAT)
    told = said(reply.body)
    if not 200 <= reply.head.status < 300 or "error_type" in told or not told:
        raise explain(reply.head, reply.body, caller.token.reveal())
    chat = word(told, "id")
    if not chat:
        raise GatewayError.protocol("the site made a chat and did not name it")
    return chat


def complete(caller: Caller, chat: str, model: str, text: str, files: tuple[str, ...], *, search: bool) -> HttpCall:
    """Of `messages` the site reads the first; what was said before in this chat it knows."""
    body = {
        "kimiplus_id": "kimi",
        "extend": {"sidebar": True},
        "model": model,
        "use_search": search,
        "messages": [{"role": "user", "content": with_links(text)}],
        "refs": files,
        "history": [],
        "scene_labels": [],
        "use_semantic_memory": False,
        "use_deep_research": False,
    }
    return caller.rest("POST", f"{_path(chat)}/completion/stream", body)


def delete(caller: Caller, chat: str) -> HttpCall:
    return caller.rest("DELETE", _path(chat))


_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]*`)", re.DOTALL)
_FOLDED = re.compile(r"^<(?:system|user|assistant|tool)-[0-9a-f]{4,}", re.MULTILINE)
"""The marks between the turns of a conversation that is told as one text."""


def with_links(text: str) -> str:
    """URLs that stand alone are marked as such: the site opens no others. One inside code or a sentence's quotes stays
    as it is, and so does all of a conversation told as one text: there may be anything in it, JSON too."""
    if _FOLDED.search(text):
        return text
    parts = _CODE.split(text)
    return "".join(part if place % 2 else _LINK.sub(_marked, part) for place, part in enumerate(parts))


def _marked(found: re.Match[str]) -> str:
    url = found[0].rstrip(_AFTER)
    if url.endswith("//"):
        return found[0]
    return f'<url id="" type="url" status="" title="" wc="">{url}</url>{found[0][len(url) :]}'


def _path(chat: str) -> str:
    return f"/api/chat/{quote(chat, safe='')}"
