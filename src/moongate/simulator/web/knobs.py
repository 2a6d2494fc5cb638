"""What a test may change of the whole web site, and of one of its users."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from moongate.simulator.knobs import Status
from moongate.simulator.script import Count, Seconds

Ratio = Annotated[float, Meta(ge=0, le=1)]
Level = Annotated[int, Meta(ge=0, le=1000)]


class WebKnobs(msgspec.Struct):
    """`generations` that are served; the paths of the other are unknown ones, the two refresh endpoints excepted:
    `current_refresh` says how that of the login host answers (or that it is away), `legacy_refresh` whether the older
    one is there.

    Lifetimes are in seconds, as is `reuse_grace`, in which a spent refresh token still works. `lose_refreshes`: so many
    next renewals happen, but their answers are lost; `fail_refreshes`: statuses of the next answers, nothing happens.
    `connect_streams` and `rest_streams` a user may have at a time, None for any number. `models_shape` is that of
    GetAvailableModels, `bare_debug` puts the `debug` of an error beside its code instead of into its details (both were
    seen in 2026). `strict_chat_id` refuses an empty `chat_id` instead of taking it for a new chat.
    `parse_polls`: how often a document is still being read when somebody asks; `unreadable_files`: how many of the next
    uploads can never be read; `fail_deletes`: how many of the next deletions fail, as they did after a refused content.
    """

    generations: Literal["both", "connect", "rest"] = "both"
    access_lifetime: Seconds = 900.0
    refresh_lifetime: Annotated[float, Meta(ge=0, le=1e9)] = 7_776_000.0
    current_refresh: Literal["camel", "snake", "away"] = "camel"
    legacy_refresh: Literal["serves", "away"] = "serves"
    lose_refreshes: Count = 0
    fail_refreshes: list[Status] = []
    reuse_grace: Seconds = 0.0
    models_shape: Literal["2026-09", "2026-05"] = "2026-09"
    connect_streams: Count | None = None
    rest_streams: Count | None = 1
    bare_debug: bool = False
    strict_chat_id: bool = True
    parse_polls: Count = 1
    unreadable_files: Count = 0
    fail_deletes: Count = 0


class UserTerms(msgspec.Struct):
    """`is_barred`: whatever the user's tokens ask is refused. `level` of membership, 10 being a free one.

    `used_ratio` of the month's credits, which is left out of the answer at 0. `claims` are those of the tokens that
    are minted from now on: `older` were captured in 2026-06, `newer` in 2026-09.
    """

    is_barred: bool = False
    level: Level = 10
    region: Literal["cn", "overseas"] = "cn"
    used_ratio: Ratio = 0.0
    claims: Literal["older", "newer"] = "newer"
