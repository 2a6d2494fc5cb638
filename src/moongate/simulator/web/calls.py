"""The plain calls of the newer generation: JSON goes in and comes out. No HTTP."""

from typing import Final

from moongate.simulator.values import JsonObject
from moongate.simulator.web.asked import member, text_of
from moongate.simulator.web.chats import Chat
from moongate.simulator.web.files import File
from moongate.simulator.web.history import chat_shown, messages_shown, moment
from moongate.simulator.web.menu import MENUS
from moongate.simulator.web.refusals import WebRefusal, because
from moongate.simulator.web.service import Call, WebSite
from moongate.simulator.web.users import User

_PAGE: Final = 100
_LEVELS: Final = ((10, "LEVEL_FREE"), (20, "LEVEL_BASIC"), (30, "LEVEL_INTERMEDIATE"), (10**9, "LEVEL_ADVANCED"))
_REGIONS: Final = {"cn": "REGION_CN", "overseas": "REGION_OVERSEA"}


def available_models(site: WebSite) -> JsonObject:
    """It needs no token."""
    return MENUS[site.knobs.models_shape]


def uploaded(file: File) -> JsonObject:
    """What an upload is answered with; only an image has a preview, and is usable at once."""
    kind = "FILE_TYPE_IMAGE" if file.is_image else "FILE_TYPE_DOCUMENT"
    url = f"https://files.kimi.example/{file.id}"
    meta: JsonObject = {
        "name": file.name,
        "contentType": file.media_type,
        "sizeBytes": str(file.size),
        "checksum": file.digest,
        "ext": file.name.rpartition(".")[2],
        "createTime": moment(0),
        "type": kind,
    }
    told: JsonObject = {"id": file.id, "meta": meta, "blob": {"signUrl": url, "previewUrl": url}}
    if file.is_image:
        told["parseResult"] = {"thumbnail": {"thumbnailUrl": url, "previewUrl": url, "mobileThumbnailUrl": url}}
    return {"file": told}


def _current_user(site: WebSite, user: User, asked: JsonObject) -> JsonObject:
    shown: JsonObject = {
        "id": user.id,
        "nickname": user.name,
        "avatar": "",
        "phone": {},
        "region": _REGIONS[user.region],
        "globalId": f"global-{user.id}",
    }
    return {"user": shown, "workspace": {"user": {}}}


def _subscription(site: WebSite, user: User, asked: JsonObject) -> JsonObject:
    return {"subscription": {"userId": user.id, "userName": user.name, "level": _level(user)}}


def _stats(site: WebSite, user: User, asked: JsonObject) -> JsonObject:
    """A ratio of 0 is left out, as proto3 JSON does."""
    balance: JsonObject = {
        "id": f"balance-{user.id}",
        "feature": "FEATURE_OMNI",
        "type": "SUBSCRIPTION",
        "unit": "UNIT_CREDIT",
        "expireTime": moment(30 * 86400),
    }
    if user.used_ratio:
        balance["amountUsedRatio"] = user.used_ratio
    window: JsonObject = {"enabled": True, "resetTime": moment(5 * 3600)}
    return {"subscriptionBalance": balance, "ratelimitCode5h": window, "ratelimitCode7d": window}


def _level(user: User) -> str:
    return next(name for most, name in _LEVELS if user.level <= most)


def _chat(site: WebSite, user: User, asked: JsonObject) -> JsonObject | WebRefusal:
    chat = _named(site, user, asked)
    return chat if isinstance(chat, WebRefusal) else {"chat": chat_shown(chat)}


def _messages(site: WebSite, user: User, asked: JsonObject) -> JsonObject | WebRefusal:
    chat = _named(site, user, asked)
    return chat if isinstance(chat, WebRefusal) else _paged("messages", messages_shown(chat), asked)


def _chats(site: WebSite, user: User, asked: JsonObject) -> JsonObject:
    return _paged("chats", [chat_shown(chat) for chat in site.chats.owned(user.name, "connect")], asked)


def _delete(site: WebSite, user: User, asked: JsonObject) -> JsonObject | WebRefusal:
    chat = _named(site, user, asked)
    if isinstance(chat, WebRefusal):
        return chat
    return site.delete(chat) or {}


def _delete_all(site: WebSite, user: User, asked: JsonObject) -> JsonObject | WebRefusal:
    """All of them, or none."""
    given = member(asked, "chat_ids")
    wanted = given if isinstance(given, list) else []
    chats = [_named(site, user, {"chat_id": chat}) for chat in wanted]
    for chat in chats:
        if isinstance(chat, WebRefusal):
            return chat
    for chat in chats:
        if isinstance(chat, Chat):
            chat.is_deleted = True
    return {}


def _cancel(site: WebSite, user: User, asked: JsonObject) -> JsonObject | WebRefusal:
    chat, message = _named(site, user, asked), text_of(asked, "message_id")
    if isinstance(chat, WebRefusal):
        return chat
    if message not in chat.messages:
        return because("not_found", "message not found")
    chat.cancelled.append(message)
    if (task := site.running.get(message)) is not None:
        task.cancel()
    return {}


def _parse_progress(site: WebSite, user: User, asked: JsonObject) -> JsonObject | WebRefusal:
    """A document is being read at first; each question brings it on."""
    given = member(asked, "file_ids")
    progresses: list[JsonObject] = []
    for name in given if isinstance(given, list) else []:
        file = site.files.of(user.name, name) if isinstance(name, str) else None
        if file is None:
            return because("not_found", "file not found")
        progresses.append({"fileId": file.id, "status": f"PROCESS_STATUS_{_progress(site, file)}"})
    return {"progresses": progresses}


def _progress(site: WebSite, file: File) -> str:
    file.polls += 1
    if file.has_failed:
        return "FAILED"
    file.is_parsed = file.is_parsed or file.polls > site.knobs.parse_polls
    return "SUCCESS" if file.is_parsed else "PROCESSING"


def _named(site: WebSite, user: User, asked: JsonObject) -> Chat | WebRefusal:
    chat = site.chats.of(user.name, text_of(asked, "chat_id"), "connect")
    return because("not_found", "chat not found") if chat is None else chat


def _paged(name: str, items: list[JsonObject], asked: JsonObject) -> JsonObject:
    size, token = member(asked, "page_size"), text_of(asked, "page_token")
    most = min(size, _PAGE) if isinstance(size, int) and size > 0 else _PAGE
    start = int(token) if token.isdecimal() and token.isascii() and len(token) < 10 else 0
    page: JsonObject = {name: items[start : start + most]}
    return page if start + most >= len(items) else {**page, "nextPageToken": str(start + most)}


_CHAT_SERVICE: Final = "/apiv2/kimi.gateway.chat.v1.ChatService"
CHAT: Final = f"{_CHAT_SERVICE}/Chat"
MODELS: Final = "/apiv2/kimi.gateway.config.v1.ConfigService/GetAvailableModels"
UPLOAD: Final = "/apiv2-files/file/upload"

CALLS: Final[dict[str, Call]] = {
    "/apiv2/kimi.gateway.account.v1.UserService/GetCurrentUser": _current_user,
    "/apiv2/kimi.gateway.order.v1.SubscriptionService/GetSubscription": _subscription,
    "/apiv2/kimi.gateway.membership.v2.MembershipService/GetSubscriptionStats": _stats,
    f"{_CHAT_SERVICE}/GetChat": _chat,
    f"{_CHAT_SERVICE}/ListMessages": _messages,
    f"{_CHAT_SERVICE}/ListChats": _chats,
    f"{_CHAT_SERVICE}/DeleteChat": _delete,
    f"{_CHAT_SERVICE}/BatchDeleteChats": _delete_all,
    f"{_CHAT_SERVICE}/CancelChat": _cancel,
    "/apiv2-files/kimi.gateway.file.v1.FileService/GetFileParseProgress": _parse_progress,
}
"""By path, all of them with a token."""


def canonical(path: str) -> str:
    """The chat service has two names."""
    return path.replace("/apiv2/kimi.chat.v1.", "/apiv2/kimi.gateway.chat.v1.", 1)
