"""Small calls made on an account's behalf, apart from the requests it serves: what models it has, how it stands."""

from collections.abc import Callable
from typing import TypeVar

from moongate.core.errors import GatewayError, Kind
from moongate.core.sealed import Sealed
from moongate.pool.account import Account
from moongate.upstreams.driver import Transport, run
from moongate.wire.http import Flow

T = TypeVar("T")


async def ask(account: Account, call: Callable[[Sealed], Flow[T]], transport: Transport) -> T:
    """What `call` comes to with the account's credential, renewed once where it is refused. Raises GatewayError."""
    token = await account.credential.token()
    try:
        return await run(call(token), transport)
    except GatewayError as error:
        if error.kind is not Kind.CREDENTIAL_REFUSED:
            raise
        another = await account.credential.renewed(token)
        if another is None:
            raise
    return await run(call(another), transport)
