"""What a vendor allows an account at most, in its own words."""

from typing import Literal, TypeAlias

from msgspec import Struct

LimitName: TypeAlias = Literal["concurrency", "rpm", "tpm"]
"""Requests at a time, requests a minute, tokens a minute."""


class Limit(Struct, frozen=True):
    name: LimitName
    amount: int
