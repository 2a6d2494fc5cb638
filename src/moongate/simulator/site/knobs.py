"""What a test may change of the site."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from moongate.simulator.script import Count, Seconds

Failure = Literal["success_false", "forbidden_minus_one", "bad_request_zero", "server_error", "not_json", "html", "cut"]
Nonce = Annotated[str, Meta(pattern="^[0-9A-Za-z_-]{1,64}$")]


class SiteKnobs(msgspec.Struct):
    """`nonce`: the one that is taken, and stands in the page. `challenge`: who asks is first to prove to be no bot, on
    the page and at the form, each time or the next time only; it comes with `challenge_status`. `fail`: how the next
    forms are answered, one after the other; `cut` breaks off in the middle of a good answer. `length_limit`: characters
    of a message, None for any number. `delay`: seconds before each answer to a form."""

    nonce: Nonce = "0a1b2c3d4e"
    challenge: Literal["none", "once", "always"] = "none"
    challenge_status: Literal[403, 503] = 403
    fail: list[Failure] = []
    length_limit: Count | None = 1000
    delay: Seconds = 0.0
