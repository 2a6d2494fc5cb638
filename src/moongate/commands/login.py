"""`moongate login`: a person confirms a code in a browser, and what is granted for it is kept in the home."""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console

from moongate.commands import tables
from moongate.commands.given import TROUBLE, WELL, WRONG, say, settings_of
from moongate.core.errors import GatewayError, Kind
from moongate.core.grant import Grant
from moongate.settings import Settings
from moongate.settings.values import ACCOUNT_NAMED
from moongate.storage.grants import GrantFile, file_of
from moongate.storage.seal import Seal
from moongate.upstreams.driver import Transport, run
from moongate.upstreams.kimi_code.login import SLOWER, DeviceCode, Identity, begin, command, poll
from moongate.upstreams.transport import AiohttpTransport

INTERRUPTED = 130

FAILURES = 5
"""Polls in a row that may fail before the login does: a connection comes back, the code does not."""

TOLD_EVERY = 60.0
"""Seconds between two lines of progress where there is no terminal."""

ENDINGS = {
    Kind.LOGIN_EXPIRED: (
        "The code was not confirmed in time. For a new one: {again}",
        "验证码已过期。如需重新获取，请运行：{again}",
    ),
    Kind.CREDENTIAL_REFUSED: (
        "The login was declined in the browser. Nothing was changed.",
        "登录请求已被拒绝，未作任何更改。",
    ),
}
OTHERWISE = ("The login failed: {message}. To try it again: {again}", "登录失败。如需重试，请运行：{again}")


def logged_in(given: Mapping[str, object], name: str) -> int:
    """Logs in to Kimi Code and keeps it under this name; the exit code."""
    settings = settings_of(given)
    if wrong := _wrong(settings, name):
        say(f"--name {name}: {wrong}")
        return WRONG
    file = GrantFile(file_of(settings.home, name), Seal(settings.secret), oauth_host=settings.code_oauth_host)
    try:
        return asyncio.run(_login(settings, file, tables.console()))
    except KeyboardInterrupt:
        say("Stopped.")
        return INTERRUPTED


def _wrong(settings: Settings, name: str) -> str:
    if name.startswith(".") or not ACCOUNT_NAMED.fullmatch(name):
        return "must be a name in small letters, digits and . _ -, of at most 64, not beginning with a dot"
    is_used = any(account.login == name for account in settings.accounts)
    if not is_used and any(account.name == name for account in settings.accounts):
        return "this is the name of another account, so that nobody would use the login"
    return ""


async def _login(settings: Settings, file: GrantFile, out: Console) -> int:
    identity = Identity(settings.user_agent, await _device(file))
    try:
        async with file.lock():  # whether it can be kept there is better known before somebody has confirmed it
            pass
    except OSError as error:
        say(f"MOONGATE_HOME={settings.home}: a login cannot be kept there: {error.strerror or error}")
        return WRONG
    async with AiohttpTransport() as transport:
        try:
            code = await run(begin(settings.code_oauth_host, identity), transport)
            _show(code, out)
            with _progress(out) as left:
                grant = await confirmed(settings.code_oauth_host, code, identity, transport, left)
        except GatewayError as error:
            for line in ENDINGS.get(error.kind, OTHERWISE):
                say(line.format(message=_printable(error.message), again=command(file.name)))
            return TROUBLE
    try:
        async with file.lock():
            await asyncio.to_thread(file.save, grant)
    except OSError as error:
        say(f"The login succeeded, but cannot be kept in {file.path}: {error.strerror or error}")
        return TROUBLE
    _welcome(file, out, is_sealed=settings.secret is not None)
    return WELL


async def _device(file: GrantFile) -> str:
    """The number of the login that is replaced, as this is still the same installation; a new one if there is none."""
    try:
        before = await asyncio.to_thread(GrantFile(file.path, file.seal).load)
    except OSError:  # whether another can be kept there is looked at next
        before = None
    except ValueError as error:
        say(f"The login that is kept already cannot be read, and will be replaced: {error}")
        before = None
    return (before and before.device) or str(uuid.uuid4())


async def confirmed(
    host: str,
    code: DeviceCode,
    identity: Identity,
    transport: Transport,
    left: Callable[[float], None] = lambda _: None,
    slower: float = SLOWER,
) -> Grant:
    """What was granted, once it was. `left` is told how many seconds the code is still good for. `slower` as `SLOWER`.

    Raises GatewayError as `poll` does; what may pass is tried again first.
    """
    clock = asyncio.get_running_loop().time
    end, interval, failures = clock() + code.lifetime, code.interval, 0
    while True:
        await _sleep(min(interval, end - clock()), lambda: left(end - clock()))
        if clock() >= end:
            raise GatewayError(Kind.LOGIN_EXPIRED, "the code was not confirmed in time")
        try:
            answer = await run(poll(host, code, identity), transport)
        except GatewayError as error:
            failures += 1
            if failures > FAILURES or not (error.kind.retry == "same" or error.kind is Kind.TIMED_OUT):
                raise
            continue
        if isinstance(answer, Grant):
            return answer
        failures = 0
        interval += slower if answer.kind == "slow_down" else 0


async def _sleep(seconds: float, every_second: Callable[[], None]) -> None:
    while seconds > 0:
        every_second()
        await asyncio.sleep(min(1.0, seconds))
        seconds -= 1.0


def _show(code: DeviceCode, out: Console) -> None:
    minutes = max(1, round(code.lifetime / 60))
    _print(
        out,
        "Open this page in a browser, on any device, and confirm it if it shows the same code:",
        f"  {code.url}",
        f"  code: {code.user_code}",
        f"  请在浏览器中打开上面的页面，核对验证码 {code.user_code} 后确认。",
        f"The code is valid for {minutes} minutes. Ctrl-C stops the login.",
    )


@contextmanager
def _progress(out: Console) -> Iterator[Callable[[float], None]]:
    """To be told the seconds that are left: a line that counts down on a terminal, and one a minute elsewhere."""
    waiting = "Waiting for the confirmation … {:.0f}:{:02.0f} left"
    if out.is_terminal:
        with out.status("") as status:
            yield lambda left: status.update(waiting.format(*divmod(max(0, int(left)), 60)))
        return
    told: list[float] = []

    def tell(left: float) -> None:
        if not told or left <= told[-1] - TOLD_EVERY:
            told.append(left)
            _print(out, waiting.format(*divmod(max(0, int(left)), 60)))

    yield tell


def _welcome(file: GrantFile, out: Console, *, is_sealed: bool) -> None:
    _print(
        out,
        f"Logged in. The login {file.name} is kept in {file.path}, for your user's eyes only.",
        "It is sealed with MOONGATE_SECRET; the gateway needs the same one."
        if is_sealed
        else "It is not sealed: set MOONGATE_SECRET, here and for the gateway, and its next renewal seals it.",
        "A gateway that is running takes it up by itself.",
        "  登录成功，凭据已保存。运行中的网关会自动启用。",
    )


def _print(out: Console, *lines: str) -> None:
    """Lines stay whole, so that an address can be copied."""
    for line in lines:
        out.print(_printable(line), soft_wrap=True)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
