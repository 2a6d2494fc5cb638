"""The site's state and what it answers to whom: no HTTP. Shapes as its clients' public sources have them (2025-10)."""

from typing import Final
from urllib.parse import parse_qsl

import msgspec

from moongate.simulator.settable import change, restore, shown
from moongate.simulator.site.knobs import SiteKnobs
from moongate.simulator.site.replies import (
    FAILURES,
    NO_ACTION,
    NO_NONCE,
    Reply,
    answer,
    challenge,
    page,
    refusal,
    simulated,
)
from moongate.simulator.values import JsonObject

PAGE: Final = "/chat/"
FORM: Final = "/wp-admin/admin-ajax.php"
MODELS: Final = frozenset(("moonshotai/Kimi-K2-Instruct-0905", "moonshotai/Kimi-K2-Instruct"))
KEPT: Final = 1000


class Form(msgspec.Struct, frozen=True):
    """One message as it came; `accepted`: it was answered, were it with a cut."""

    message: str
    model: str
    session_id: str
    nonce: str
    accepted: bool


class Site(SiteKnobs, eq=False):
    """`seen`: the forms that came with the right action, oldest first, the last 1000. `pages`: how often the page was
    asked for, challenged or not."""

    seen: list[Form] = msgspec.field(default_factory=list)
    pages: int = 0
    _answers: list[str] = msgspec.field(default_factory=list)
    _rotations: int = 0

    def clear(self) -> None:
        restore(self)

    def change(self, given: object) -> None:
        """Set what is given as JSON. Raises ValueError."""
        change(self, SiteKnobs, given)

    def as_json(self) -> JsonObject:
        return {**shown(self, SiteKnobs), "pages": self.pages, "queued": len(self._answers)}

    def rotate(self) -> str:
        """Another nonce, from now on the only one that is taken."""
        self._rotations += 1
        self.nonce = f"{0x5EED000000 + self._rotations:010x}"
        return self.nonce

    def enqueue(self, text: str) -> None:
        """Answer the next message that is taken with this."""
        self._answers.append(text)

    def show(self, url: str) -> Reply:
        """`GET /chat/`. `url`: where the site is."""
        self.pages += 1
        return self._challenged() or page(url, self.nonce)

    def take(self, content_type: str, body: bytes) -> Reply:
        """`POST /wp-admin/admin-ajax.php`."""
        if barred := self._challenged():
            return barred
        form = _read(content_type, body)
        if form.get("action") != "kimi_send_message":
            return NO_ACTION
        reply = self._reply(form)
        self._keep(form, is_taken=reply.status == 200 and reply.body.startswith(b'{"success":true'))
        return reply

    def _reply(self, form: dict[str, str]) -> Reply:
        if self.fail:
            return FAILURES[self.fail.pop(0)]
        message = form.get("message", "")
        if form.get("nonce") != self.nonce:
            return NO_NONCE
        if not message:
            return refusal("Simulated: the message is empty.")
        if form.get("model") not in MODELS:
            return refusal("Simulated: there is no such model.")
        if self.length_limit is not None and len(message) > self.length_limit:
            return refusal(f"Simulated: the message is longer than {self.length_limit} characters.")
        return answer(self._answers.pop(0) if self._answers else simulated(message))

    def _challenged(self) -> Reply | None:
        if self.challenge == "none":
            return None
        if self.challenge == "once":
            self.challenge = "none"
        return challenge(self.challenge_status)

    def _keep(self, form: dict[str, str], *, is_taken: bool) -> None:
        message, model, session, nonce = (form.get(name, "") for name in ("message", "model", "session_id", "nonce"))
        self.seen.append(Form(message, model, session, nonce, is_taken))
        del self.seen[:-KEPT]


def _read(content_type: str, body: bytes) -> dict[str, str]:
    """The members that have a value; none where this is no form."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return {}
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=50, errors="strict"))
    except ValueError:
        return {}
