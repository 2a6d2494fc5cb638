"""What a test may change of the whole service, and of its logins."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from moongate.simulator.models import Product
from moongate.simulator.script import Count, Seconds

Status = Annotated[int, Meta(ge=200, le=599)]
Shape = Literal["old", "new", "both"]


class Knobs(msgspec.Struct):
    """`usages_shape` is that of `/usages`, in which `ratio_as_text` writes shares as numeric texts (both were seen).

    `gate`: how the user agents begin that Kimi Code serves, None for all. `date_skew`: seconds by which the clock of
    the service is ahead.
    """

    usages_shape: Shape = "both"
    ratio_as_text: bool = False
    gate: tuple[str, ...] | None = None
    date_skew: Annotated[float, Meta(ge=-1e9, le=1e9)] = 0.0

    def shuts_out(self, product: Product, user_agent: str) -> bool:
        return product is Product.KIMI_CODE and self.gate is not None and not user_agent.startswith(self.gate)


class LoginKnobs(msgspec.Struct):
    """`lifetime` of an access token, `interval` between polls and `expires_in` of a device code are in seconds, `delay`
    is slept before each answer of the token endpoint. `pending_status`: of the answer to a poll nobody has decided.
    `auto_approve_after`: polls after which a code counts as confirmed. `early_rejection`: seconds before its end at
    which a token already fails. `reuse_kills`: a refresh token that comes again ends its login. `strict`: tokens that
    were not issued here are refused. `fail_next`: statuses of the next answers; `lose_next`: how many after them are
    lost on the way."""

    lifetime: Seconds = 900.0
    interval: Seconds = 5.0
    expires_in: Seconds = 1800.0
    delay: Seconds = 0.0
    pending_status: Status = 400
    auto_approve_after: Count | None = None
    early_rejection: Seconds = 0.0
    reuse_kills: bool = True
    strict: bool = False
    fail_next: list[Status] = []
    lose_next: Count = 0
