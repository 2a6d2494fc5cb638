"""A name for each request, so that a person, our log and their log can speak of the same one."""

import re
from uuid import uuid4

_WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def request_id(said: str | None) -> str:
    """The caller's own if it is fit for headers and logs, else a new one."""
    return said if said and _WELL_FORMED.fullmatch(said) else f"req_{uuid4().hex}"
