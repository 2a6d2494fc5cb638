"""How a web account stands: how much of its plan's month is used. It also tells whether a token is good."""

from collections.abc import Callable

from moongate.core.standing import Standing, Window
from moongate.upstreams.kimi_web.answers import Members, is_absent, members, said
from moongate.upstreams.kimi_web.headers import Caller
from moongate.upstreams.kimi_web.refusals import explain
from moongate.upstreams.kimi_web.site import Generation
from moongate.wire.http import Flow, HttpReply
from moongate.wire.moments import moment
from moongate.wire.numbers import number

STATISTICS = "apiv2/kimi.gateway.membership.v2.MembershipService/GetSubscriptionStats"
USER = "/api/user"

MONTH = "month"


def ask(caller: Caller, generation: Generation, clock: Callable[[], float]) -> Flow[Standing | None]:
    """None where the site does not tell. Raises GatewayError: CREDENTIAL_REFUSED where the token is not good."""
    if generation == "connect":
        reply = yield caller.rpc(STATISTICS, {})
        if not is_absent(reply):
            return _read(_answered(caller, reply), clock())
    reply = yield caller.rest("GET", USER)
    if not is_absent(reply):
        _answered(caller, reply)
    return None


def _read(told: Members, now: float) -> Standing | None:
    """A share that is 0 is left out of the answer, as proto3 has it. The windows of Kimi Code that stand beside it are
    not this account's."""
    balance = members(told.get("subscriptionBalance"))
    if not balance:
        return None
    used = number(balance.get("amountUsedRatio")) or 0.0
    return Standing(now, windows=(Window(MONTH, max(0.0, used), moment(balance.get("expireTime"))),))


def _answered(caller: Caller, reply: HttpReply) -> Members:
    told = said(reply.body)
    if not 200 <= reply.head.status < 300 or "error_type" in told:
        raise explain(reply.head, reply.body, caller.token.reveal())
    return told
