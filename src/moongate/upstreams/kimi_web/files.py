"""Puts what is no text where the model can read it: a question names files by the ids they got there."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.prompt import Media
from moongate.upstreams.kimi_web.answers import Members, each, members, said, word
from moongate.upstreams.kimi_web.headers import Caller
from moongate.upstreams.kimi_web.refusals import explain
from moongate.wire.http import Flow, HttpCall, HttpReply
from moongate.wire.multipart import ANY, form

UPLOAD = "apiv2-files/file/upload"
PROGRESS = "apiv2-files/kimi.gateway.file.v1.FileService/GetFileParseProgress"

LARGEST = 100 * 1024 * 1024
"""Bytes of a file, as the site's own page allows."""

POLLS = 30
PAUSE = 1.0
"""Seconds before each poll."""

PARSE_TIMEOUT = 120_000
"""Milliseconds the site is told to take at most."""

DONE, FAILED = "PROCESS_STATUS_SUCCESS", "PROCESS_STATUS_FAILED"
TAKEN = frozenset({"initialized", "parsed"})
LOST = frozenset({"failed", "fail", "error", "parse_failed"})

ENDINGS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "application/pdf": "pdf",
    "application/json": "json",
    "text/plain": "txt",
    "text/markdown": "md",
    "text/csv": "csv",
    "text/html": "html",
}


_URL = re.compile(r"https?://[!-~]{1,8000}")


class File(Struct, frozen=True):
    """`name` is what it is called to the site, and to the caller where it is refused."""

    name: str
    media_type: str
    data: bytes
    is_image: bool

    def refused(self, reason: str) -> GatewayError:
        return GatewayError(Kind.REQUEST_REFUSED, f"the site could not read the file {self.name!r}: {reason}")

    def late(self) -> GatewayError:
        return GatewayError(Kind.TIMED_OUT, f"the site had not read the file {self.name!r} after {POLLS} s")


def files(media: Iterable[Media]) -> tuple[File, ...]:
    """Raises GatewayError (INVALID_REQUEST, TOO_LARGE) for what cannot be sent, before anything is."""
    return tuple(_file(place, item) for place, item in enumerate(media, start=1))


def _file(place: int, media: Media) -> File:
    kind = media.media_type.partition(";")[0].strip().lower()
    name = media.name.encode(errors="replace").decode() or f"{media.kind}-{place}.{ENDINGS.get(kind, 'bin')}"
    if not media.data:
        shown = media.url[:100] or name
        message = f"{shown!r} cannot be sent to a web account: only what comes as a data URL can"
        raise GatewayError(Kind.INVALID_REQUEST, message)
    if len(media.data) > LARGEST:
        raise GatewayError(Kind.TOO_LARGE, f"the file {name!r} has more than {LARGEST // 1024**2} MB")
    return File(name, kind or ANY, media.data, media.kind == "image")


def in_turn(uploads: Iterable[Flow[str]]) -> Flow[tuple[str, ...]]:
    """One after the other; the ids in the same order."""
    ids: tuple[str, ...] = ()
    for upload in uploads:
        ids += ((yield from upload),)
    return ids


def upload(caller: Caller, file: File) -> Flow[str]:
    """To a site of the newer generation; the file's id. Raises GatewayError."""
    sent = form("file", file.name, file.media_type, file.data)
    reply = yield caller.connect(UPLOAD, sent.body, sent.content_type)
    told = _answered(caller, reply)
    file_id = word(members(told.get("file")), "id")
    if not file_id:
        raise GatewayError.protocol(f"the site took the file {file.name!r} and did not name it")
    if not (file.is_image and _has_thumbnail(told)):
        yield from _parsed(caller, file, file_id)
    return file_id


def _has_thumbnail(told: Members) -> bool:
    """Images that have one can be used at once (captured 2026-06 and 2026-09)."""
    result = members(members(told.get("file")).get("parseResult"))
    return word(members(result.get("thumbnail")), "thumbnailUrl", "previewUrl", "mobileThumbnailUrl") != ""


def _parsed(caller: Caller, file: File, file_id: str) -> Flow[None]:
    for _ in range(POLLS):
        reply = yield caller.rpc(PROGRESS, {"file_ids": [file_id]}, after=PAUSE)
        told = _answered(caller, reply)
        status = next((word(item, "status") for item in each(told.get("progresses")) if _is_of(item, file_id)), "")
        if status == DONE:
            return
        if status == FAILED:
            raise file.refused("it is damaged, or of a kind it does not know")
    raise file.late()


def _is_of(progress: Members, file_id: str) -> bool:
    return word(progress, "fileId", "file_id") in (file_id, "")


def upload_legacy(caller: Caller, file: File, chat: str) -> Flow[str]:
    """To a site of the older generation, through a store that it names; the file's id. Raises GatewayError."""
    action = "image" if file.is_image else "file"
    reply = yield caller.rest("POST", "/api/pre-sign-url", {"action": action, "name": file.name})
    place = _answered(caller, reply)
    yield from _stored(caller, file, word(place, "url"))
    told = yield from _taken(caller, file, _notice(file, place, chat))
    file_id = word(told, "id")
    if not file_id:
        raise GatewayError.protocol(f"the site took the file {file.name!r} and did not name it")
    if word(told, "status") != "parsed":
        yield from _parsed_legacy(caller, file, file_id)
    return file_id


def _stored(caller: Caller, file: File, url: str) -> Flow[None]:
    """The store is another host, and is shown no token."""
    if not _is_place(url, caller):
        raise GatewayError.protocol("the site named no place to put a file")
    headers = {"content-type": file.media_type, "user-agent": caller.user_agent}
    reply = yield HttpCall("PUT", url, headers, file.data)
    if not 200 <= reply.head.status < 300:
        message = f"the file {file.name!r} could not be stored: the site's store answered {reply.head.status}"
        raise GatewayError(Kind.FAILED, message, upstream_status=reply.head.status)


def _is_place(url: str, caller: Caller) -> bool:
    """An address that can be called, and that hides what is sent there if the site itself does."""
    try:
        parts = urlsplit(url)
        has_port = parts.port != 0
    except ValueError:
        return False
    schemes = {"https", caller.base_url.partition(":")[0]}
    return has_port and bool(parts.hostname) and parts.scheme in schemes and _URL.fullmatch(url) is not None


def _notice(file: File, place: Members, chat: str) -> dict[str, object]:
    if file.is_image:
        return {"type": "image", "file_id": word(place, "file_id"), "name": file.name}
    named = {"name": file.name, "object_name": word(place, "object_name")}
    return {"type": "file", **named, "file_id": "", "chat_id": chat}


def _taken(caller: Caller, file: File, notice: dict[str, object]) -> Flow[Members]:
    for attempt in range(POLLS):
        reply = yield caller.rest("POST", "/api/file", notice, after=PAUSE if attempt else 0.0)
        told = _answered(caller, reply)
        status = word(told, "status")
        if status in TAKEN:
            return told
        if status in LOST:
            raise file.refused(f"it says {status}")
    raise file.late()


def _parsed_legacy(caller: Caller, file: File, file_id: str) -> Flow[None]:
    """The answer may be JSON, or events that each hold some (seen 2024); the last status counts, and one that tells
    none has nothing to complain of."""
    for attempt in range(POLLS):
        asking = {"ids": [file_id], "timeout": PARSE_TIMEOUT}
        reply = yield caller.rest("POST", "/api/file/parse_process", asking, after=PAUSE if attempt else 0.0)
        if not 200 <= reply.head.status < 300:
            raise _refusal(caller, reply)
        status = _last_status(reply)
        if status in ("parsed", ""):
            return
        if status in LOST:
            raise file.refused(f"it says {status}")
    raise file.late()


def _last_status(reply: HttpReply) -> str:
    status = ""
    for line in (reply.body, *reply.body.splitlines()):
        told = said(line.strip().removeprefix(b"data:"))
        for item in (told, *each(told.get("items"))):
            status = word(item, "status") or status
    return status


def _answered(caller: Caller, reply: HttpReply) -> Members:
    told = said(reply.body)
    if not 200 <= reply.head.status < 300 or not told or "error_type" in told:
        raise _refusal(caller, reply)
    return told


def _refusal(caller: Caller, reply: HttpReply) -> GatewayError:
    return explain(reply.head, reply.body, caller.token.reveal())
