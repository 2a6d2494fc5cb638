"""Files that users gave to the web site: what they are, never their bytes."""

import hashlib
from email.message import Message as MimePart
from typing import Final

import msgspec

from moongate.simulator.values import JsonObject
from moongate.simulator.web.chats import Ids
from moongate.simulator.web.knobs import WebKnobs

MOST: Final = 2000


class File(msgspec.Struct, kw_only=True, eq=False):
    """`digest` is the SHA-256 of the bytes in hex, `polls` how often somebody asked whether it has been read."""

    id: str
    owner: str
    name: str
    media_type: str
    size: int
    digest: str
    is_parsed: bool
    has_failed: bool = False
    polls: int = 0

    @property
    def is_image(self) -> bool:
        return self.media_type.startswith("image/")

    def as_json(self) -> JsonObject:
        return {name: getattr(self, name) for name in self.__struct_fields__}


class Place(msgspec.Struct, kw_only=True):
    """Where the older generation lets a file be put before it is told of."""

    owner: str
    name: str
    is_image: bool
    file_id: str
    media_type: str = ""
    data_digest: str = ""
    size: int = 0
    is_filled: bool = False


class Part(msgspec.Struct, frozen=True):
    """One field of a form with its file name."""

    field: str
    name: str
    media_type: str
    data: bytes


class Files:
    """Those that came first are forgotten beyond 2000."""

    def __init__(self, ids: Ids, knobs: WebKnobs) -> None:
        self._ids = ids
        self._knobs = knobs
        self.all: dict[str, File] = {}
        self.places: dict[str, Place] = {}

    def keep(self, owner: str, part: Part) -> File:
        digest, is_image = hashlib.sha256(part.data).hexdigest(), part.media_type.startswith("image/")
        return self._keep(self._ids.long(), owner, part.name, part.media_type, len(part.data), digest, is_image)

    def place(self, owner: str, name: str, *, is_image: bool) -> str:
        """The name of a new place."""
        place = Place(owner=owner, name=name, is_image=is_image, file_id=self._ids.short())
        key = f"object-{place.file_id}"
        self.places[key] = place
        if len(self.places) > MOST:
            del self.places[next(iter(self.places))]
        return key

    def fill(self, key: str, media_type: str, data: bytes) -> bool:
        """Whether there is such a place."""
        place = self.places.get(key)
        if place is None:
            return False
        place.media_type, place.size, place.is_filled = media_type, len(data), True
        place.data_digest = hashlib.sha256(data).hexdigest()
        return True

    def told(self, owner: str, name: str, key: str) -> File | None:
        """The file at a filled place, by the place's name or, for images, its file id; None where there is none."""
        found = next((p for k, p in self.places.items() if key in (k, p.file_id) and p.owner == owner), None)
        if found is None or not found.is_filled:
            return None
        if found.file_id in self.all:
            return self.all[found.file_id]
        title = name or found.name
        return self._keep(found.file_id, owner, title, found.media_type, found.size, found.data_digest, found.is_image)

    def of(self, owner: str, id: str) -> File | None:
        file = self.all.get(id)
        return file if file is not None and file.owner == owner else None

    def clear(self) -> None:
        self.all.clear()
        self.places.clear()

    def _keep(self, id: str, owner: str, name: str, media_type: str, size: int, digest: str, is_image: bool) -> File:
        fails = self._knobs.unreadable_files > 0
        self._knobs.unreadable_files -= fails
        file = self.all[id] = File(
            id=id,
            owner=owner,
            name=name,
            media_type=media_type,
            size=size,
            digest=digest,
            is_parsed=is_image and not fails,
            has_failed=fails,
        )
        if len(self.all) > MOST:
            del self.all[next(iter(self.all))]
        return file


def read_multipart(content_type: str, body: bytes) -> list[Part] | None:
    """The fields of a form; None for what is no `multipart/form-data` that ends as it should."""
    head = MimePart()
    head["Content-Type"] = content_type.encode("ascii", "replace").decode()
    boundary = head.get_boundary()
    if head.get_content_type() != "multipart/form-data" or not boundary:
        return None
    delimiter = b"\r\n--" + boundary.encode("utf-8", "replace")
    sections = (b"\r\n" + body).split(delimiter)
    if len(sections) < 2 or not sections[-1].startswith(b"--"):
        return None
    return [part for section in sections[1:-1] if (part := _part(section)) is not None]


def _part(section: bytes) -> Part | None:
    head, gap, data = section.partition(b"\r\n\r\n")
    if not gap:
        return None
    fields = MimePart()
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon and name.strip().isascii():
            fields[name.strip()] = value.strip()
    field = fields.get_param("name", "", "content-disposition")
    media_type = fields.get_content_type() if "Content-Type" in fields else "application/octet-stream"
    return Part(field if isinstance(field, str) else "", fields.get_filename() or "", media_type, data)
