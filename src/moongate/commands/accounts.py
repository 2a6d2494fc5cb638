"""`moongate accounts`: asks the gateway that runs on this machine how its accounts fare, or to try one again."""

import http.client
import os
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from urllib.error import HTTPError

import msgspec
from msgspec import Struct

from moongate.commands import tables
from moongate.commands.given import TROUBLE, WELL, home_of, say
from moongate.dialects.openai_chat.client import error_of
from moongate.pool.report import AccountReport
from moongate.storage.running import Announcement, found

TIMEOUT = 10.0
"""Seconds for an answer from this machine."""

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NotAnsweredError(Exception):
    """The message is a sentence for the operator."""


class Answer(Struct):
    accounts: tuple[AccountReport, ...]


def listed(given: Mapping[str, object], *, as_json: bool) -> int:
    """Prints the accounts; the exit code."""
    return _shown(
        given, "GET", "/admin/accounts", as_json=as_json, otherwise="`moongate check` tries the accounts without one."
    )


def reset(given: Mapping[str, object], name: str, *, as_json: bool) -> int:
    """Has what is held against an account forgotten, and prints how it fares then; the exit code."""
    path = f"/admin/accounts/{urllib.parse.quote(name, safe='')}/reset"
    return _shown(given, "POST", path, as_json=as_json, otherwise="An account that rests is ready again after a start.")


def _shown(given: Mapping[str, object], method: str, path: str, *, as_json: bool, otherwise: str) -> int:
    home = home_of(given)
    gateway = found(home)
    if gateway is None or not _is_alive(gateway.pid):
        say(f"No gateway is running in MOONGATE_HOME={home}. {otherwise}")
        return TROUBLE
    try:
        reports = asked(gateway, method, path)
    except NotAnsweredError as error:
        say(str(error))
        return TROUBLE
    out = tables.console()
    if as_json:
        out.file.write(f"{tables.as_json(reports)}\n")
    else:
        out.print(tables.accounts_table(reports, tables.seen(out, time.time())))
    return WELL


def asked(gateway: Announcement, method: str, path: str) -> tuple[AccountReport, ...]:
    """What a gateway answers. Raises NotAnsweredError."""
    call = urllib.request.Request(  # noqa: S310 - the URL is the gateway's own, from a file only the owner writes
        f"{gateway.url}{path}", method=method, headers={"authorization": f"Bearer {gateway.token}"}
    )
    try:
        with _OPENER.open(call, timeout=TIMEOUT) as reply:
            return msgspec.json.decode(reply.read(), type=Answer).accounts
    except HTTPError as error:
        raise NotAnsweredError(_refusal(gateway, error)) from error
    except TimeoutError as error:
        raise NotAnsweredError(f"The gateway at {gateway.url} does not answer.") from error
    except OSError as error:
        raise NotAnsweredError(
            f"No gateway is running at {gateway.url}, where one was. Start it, or try `moongate check`."
        ) from error
    except (http.client.HTTPException, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotAnsweredError(f"What answers at {gateway.url} is no gateway of this version.") from error


def _refusal(gateway: Announcement, error: HTTPError) -> str:
    if error.code == 401:
        return f"What answers at {gateway.url} is another gateway than the one that left its word in this home."
    return f"The gateway at {gateway.url} refused: {error_of(error.read())[0]}"


def _is_alive(pid: int) -> bool:
    """Whether the process may still be there, so that its word is told to no stranger on its port."""
    if sys.platform == "win32":  # where asking would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True
