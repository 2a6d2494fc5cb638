"""Writes a form with one file in it (RFC 7578), as browsers write it."""

import re
from hashlib import sha256

from msgspec import Struct

_MEDIA_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)
_UNSEEN = re.compile(r"[\x00-\x1f\x7f]")

ANY = "application/octet-stream"


class Form(Struct, frozen=True):
    """`content_type` is the header that belongs to `body`."""

    content_type: str
    body: bytes


def form(field: str, name: str, media_type: str, data: bytes) -> Form:
    """`name`: the file's, in any script. What would end its quotes or its line is written as `%22` and the like, as the
    HTML standard has it; a `media_type` that is none becomes the general one."""
    boundary = _boundary(data)
    kind = media_type if _MEDIA_TYPE.fullmatch(media_type) else ANY
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{quoted(field)}"; filename="{quoted(name)}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    body = b"".join((head.encode(errors="replace"), data, f"\r\n--{boundary}--\r\n".encode()))
    return Form(f"multipart/form-data; boundary={boundary}", body)


def quoted(name: str) -> str:
    """Fit to stand between quotes. A backslash is no harm to browsers; other readers take it for an escape."""
    name = name.replace('"', "%22").replace("\\", "%5C")
    return _UNSEEN.sub(lambda found: f"%{ord(found[0]):02X}", name)


def _boundary(data: bytes) -> str:
    """The data's own digest, which no data can be made to hold; and the same form is the same bytes."""
    return f"moongate-{sha256(data).hexdigest()[:40]}"
