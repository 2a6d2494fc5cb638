"""The plain calls of the older generation: JSON goes in and comes out. No HTTP."""

from typing import Final

from moongate.simulator.values import JsonObject, as_objects, as_text
from moongate.simulator.web.history import moment
from moongate.simulator.web.refusals import WebRefusal, because
from moongate.simulator.web.service import Call, WebSite
from moongate.simulator.web.users import User

UPLOADS: Final = "/simulated-uploads/"


def delete(site: WebSite, user: User, id: str) -> JsonObject | WebRefusal:
    chat = site.chats.of(user.name, id, "rest")
    if chat is None:
        return because("not_found", "chat not found")
    return site.delete(chat) or {}


def _user(site: WebSite, user: User, asked: JsonObject) -> JsonObject:
    return {"id": user.id, "name": user.name, "status": "normal"}


def _begin(site: WebSite, user: User, asked: JsonObject) -> JsonObject:
    chat = site.chats.begin(user.name, "rest", as_text(asked.get("name")) or "未命名会话")
    return {"id": chat.id, "name": chat.name, "created_at": moment(chat.at), "status": "active", "type": "chat"}


def _chats(site: WebSite, user: User, asked: JsonObject) -> JsonObject:
    offset, size = (asked.get(name) for name in ("offset", "size"))
    start = offset if isinstance(offset, int) and offset > 0 else 0
    most = size if isinstance(size, int) and size > 0 else 50
    chats = site.chats.owned(user.name, "rest")[start : start + most]
    return {"items": [_listed(chat.id, chat.name, chat.at) for chat in chats]}


def _listed(id: str, name: str, at: int) -> JsonObject:
    return {
        "id": id,
        "name": name,
        "created_at": moment(at),
        "updated_at": moment(at),
        "status": "active",
        "type": "chat",
    }


def _refs(site: WebSite, user: User, asked: JsonObject) -> JsonObject:
    """What an answer refers to, by the id of the answer; null for one that refers to nothing."""
    return {"items": [_refs_of(site, user, query) for query in as_objects(asked.get("queries"))]}


def _refs_of(site: WebSite, user: User, query: JsonObject) -> JsonObject:
    chat, segment = site.chats.of(user.name, as_text(query.get("chat_id")), "rest"), as_text(query.get("sid"))
    message = chat.messages.get(segment) if chat else None
    refs = [
        {
            "ref_id": str(number),
            "ref_doc": {
                "title": result.title,
                "url": result.url,
                "source_label": result.site_name,
                "abstract": result.snippet,
                "published_time_str": result.date,
                "rag_segments": [{"id": f"{number}-1", "text": result.snippet}],
            },
        }
        for number, result in enumerate(message.results if message else (), 1)
    ]
    return {"segment_id": segment, "refs": refs or None}


def place(site: WebSite, user: User, asked: JsonObject, origin: str) -> JsonObject | WebRefusal:
    """Where to put a file; `origin` is that of this server."""
    name, action = as_text(asked.get("name")), asked.get("action")
    if not name or action not in ("file", "image"):
        return because("invalid_argument", "name and action are required")
    key = site.files.place(user.name, name, is_image=action == "image")
    file = site.files.places[key].file_id
    return {"url": f"{origin}{UPLOADS}{key}?signature=simulated", "object_name": key, "file_id": file}


def _file(site: WebSite, user: User, asked: JsonObject) -> JsonObject | WebRefusal:
    key = as_text(asked.get("file_id" if asked.get("type") == "image" else "object_name"))
    file = site.files.told(user.name, as_text(asked.get("name")), key)
    if file is None:
        return because("not_found", "nothing was uploaded there")
    status = "parsed" if file.is_parsed else "failed" if file.has_failed else "initialized"
    return {"id": file.id, "name": file.name, "size": file.size, "status": status}


def _parse(site: WebSite, user: User, asked: JsonObject) -> JsonObject | WebRefusal:
    given = asked.get("ids")
    items: list[JsonObject] = []
    for name in given if isinstance(given, list) else []:
        file = site.files.of(user.name, name) if isinstance(name, str) else None
        if file is None:
            return because("not_found", "file not found")
        file.polls += 1
        file.is_parsed = not file.has_failed
        items.append({"id": file.id, "status": "parsed" if file.is_parsed else "failed"})
    return {"items": items}


def _research(site: WebSite, user: User, asked: JsonObject) -> JsonObject:
    return {"remain": 5, "total": 5, "used": 0}


CALLS: Final[dict[tuple[str, str], Call]] = {
    ("GET", "/api/user"): _user,
    ("POST", "/api/chat"): _begin,
    ("POST", "/api/chat/list"): _chats,
    ("POST", "/api/chat/segment/v3/rag-refs"): _refs,
    ("POST", "/api/file"): _file,
    ("POST", "/api/file/parse_process"): _parse,
    ("GET", "/api/chat/research/usage"): _research,
}
"""By method and path, all of them with a token."""
