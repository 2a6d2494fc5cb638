"""`moongate login` as a person meets it: a real process, the simulator's login server, and what is left in the home."""

import asyncio
import json
import os
import pty
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from moongate.commands.login import FAILURES, confirmed
from moongate.core.errors import GatewayError, Kind
from moongate.core.grant import Grant
from moongate.core.sealed import Sealed
from moongate.settings import load
from moongate.simulator import Simulator
from moongate.storage.grants import GrantFile, file_of
from moongate.storage.seal import Seal
from moongate.upstreams.kimi_code.login import DeviceCode, Identity
from scripted import JSON, Played, Stage

CODE = re.compile(r"code: (\S+)")


@dataclass
class Run:
    """A `moongate login` that runs. `said` is all it said so far, to the person and beside it."""

    process: asyncio.subprocess.Process
    said: str = ""

    async def until(self, pattern: re.Pattern[str]) -> str:
        """The first group of `pattern`, once it was said."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while not (found := pattern.search(self.said)):
                line = await self.process.stdout.readline()
                assert line, f"it ended: {self.said}"
                self.said += line.decode()
        return found[1]

    async def ended(self) -> int:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            self.said += (await self.process.stdout.read()).decode()
            return await self.process.wait()


@asynccontextmanager
async def login(directory: Path, *arguments: str, **environ: str) -> AsyncIterator[Run]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "moongate", "login", "kimi-code", *arguments),
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Run(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def host(sim: Simulator) -> str:
    sim.oauth.interval = 0.05
    return sim.url


def kept(directory: Path, name: str = "kimi-code", secret: str | None = None) -> GrantFile:
    return GrantFile(file_of(directory / ".moongate", name), Seal(Sealed(secret) if secret else None))


def before(directory: Path) -> Grant:
    """A login that is there already."""
    grant = Grant(Sealed("at-example-before"), Sealed("rt-example-before"), 1000.0, 900.0, "device-before")
    kept(directory).save(grant)
    return grant


async def test_who_confirms_the_code_is_logged_in(tmp_path: Path, sim: Simulator, host: str) -> None:
    async with login(tmp_path, KIMI_CODE_OAUTH_HOST=host) as run:
        sim.oauth.approve(await run.until(CODE))
        assert await run.ended() == 0
    grant = kept(tmp_path).load()
    assert grant is not None
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", grant.device)
    assert json.loads(kept(tmp_path).path.read_bytes())["oauth_host"] == host
    assert stat.S_IMODE(kept(tmp_path).path.stat().st_mode) == 0o600
    assert re.search(r"https?://\S+", run.said)
    assert str(Path(".moongate/credentials/kimi-code.json")) in run.said
    assert "set MOONGATE_SECRET" in run.said
    assert "takes it up by itself" in run.said
    assert "登录成功" in run.said
    assert grant.access.reveal() not in run.said
    assert grant.refresh.reveal() not in run.said
    assert "\x1b" not in run.said


async def test_the_gateways_settings_find_it_as_an_account(tmp_path: Path, sim: Simulator, host: str) -> None:
    async with login(tmp_path, "--name", "work", KIMI_CODE_OAUTH_HOST=host) as run:
        sim.oauth.approve(await run.until(CODE))
        assert await run.ended() == 0
    settings = load(environ={}, directory=tmp_path)
    assert [(account.name, account.login) for account in settings.accounts] == [("work", "work")]


async def test_with_a_secret_it_is_sealed(tmp_path: Path, sim: Simulator, host: str) -> None:
    async with login(tmp_path, KIMI_CODE_OAUTH_HOST=host, MOONGATE_SECRET="a long passphrase") as run:
        sim.oauth.approve(await run.until(CODE))
        assert await run.ended() == 0
    grant = kept(tmp_path, secret="a long passphrase").load()
    assert grant is not None
    assert grant.access.reveal().encode() not in kept(tmp_path).path.read_bytes()
    assert "sealed with MOONGATE_SECRET" in run.said
    with pytest.raises(ValueError, match="MOONGATE_SECRET"):
        kept(tmp_path).load()


async def test_a_login_that_was_there_is_replaced_and_stays_the_same_device(
    tmp_path: Path, sim: Simulator, host: str
) -> None:
    old = before(tmp_path)
    async with login(tmp_path, KIMI_CODE_OAUTH_HOST=host) as run:
        code = await run.until(CODE)
        assert kept(tmp_path).load() == old
        sim.oauth.approve(code)
        assert await run.ended() == 0
    new = kept(tmp_path).load()
    assert new is not None
    assert new.access != old.access
    assert new.device == "device-before"


async def test_a_login_that_can_no_longer_be_read_is_replaced(tmp_path: Path, sim: Simulator, host: str) -> None:
    before(tmp_path)
    kept(tmp_path).path.write_text("garbage")
    async with login(tmp_path, KIMI_CODE_OAUTH_HOST=host) as run:
        sim.oauth.approve(await run.until(CODE))
        assert await run.ended() == 0
    assert "cannot be read, and will be replaced" in run.said
    assert kept(tmp_path).load() is not None


async def test_who_declines_is_told_so_and_nothing_is_changed(tmp_path: Path, sim: Simulator, host: str) -> None:
    old = before(tmp_path)
    async with login(tmp_path, KIMI_CODE_OAUTH_HOST=host) as run:
        sim.oauth.deny(await run.until(CODE))
        assert await run.ended() == 1
    assert "declined" in run.said
    assert "拒绝" in run.said
    assert "Traceback" not in run.said
    assert kept(tmp_path).load() == old


async def test_ctrl_c_ends_it_with_130_and_nothing_is_changed(tmp_path: Path, host: str) -> None:
    old = before(tmp_path)
    async with login(tmp_path, KIMI_CODE_OAUTH_HOST=host) as run:
        await run.until(re.compile("(Waiting)"))
        run.process.send_signal(signal.SIGINT)
        assert await run.ended() == 130
    assert "Traceback" not in run.said
    assert kept(tmp_path).load() == old


async def test_a_server_that_is_not_there_is_one_sentence_in_each_language(tmp_path: Path) -> None:
    async with login(tmp_path, KIMI_CODE_OAUTH_HOST="http://127.0.0.1:9") as run:
        assert await run.ended() == 1
    assert "cannot connect to 127.0.0.1:9" in run.said
    assert "moongate login kimi-code" in run.said
    assert run.said.count("\n") == 2


WRONG = [
    ((), {"KIMI_CODE_OAUTH_HOST": "auth.example.com"}, "KIMI_CODE_OAUTH_HOST"),
    (("--config", "nowhere.toml"), {}, "nowhere.toml"),
    (("--name", "a b"), {}, "--name a b"),
    (("--name", "../up"), {}, "--name ../up"),
    (("--name", ".hidden"), {}, "--name .hidden"),
    (("--name", "kimi-code-1"), {"KIMI_CODE_API_KEY": "sk-kimi-example"}, "another account"),
    ((), {"MOONGATE_HOME": "taken/by/a/file"}, "MOONGATE_HOME"),
]


@pytest.mark.parametrize(("arguments", "environ", "named"), WRONG)
async def test_what_is_wrong_is_one_line_and_the_exit_code_is_2(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], named: str
) -> None:
    (tmp_path / "taken").write_text("")
    async with login(tmp_path, *arguments, **{"KIMI_CODE_OAUTH_HOST": "http://127.0.0.1:9", **environ}) as run:
        assert await run.ended() == 2
    assert named in run.said
    assert run.said.count("\n") == 1


async def test_help_has_an_example(tmp_path: Path) -> None:
    async with login(tmp_path, "--help") as run:
        assert await run.ended() == 0
    assert "moongate login kimi-code --name work" in run.said


async def test_on_a_terminal_the_address_stays_whole_and_the_time_counts_down(
    tmp_path: Path, sim: Simulator, host: str
) -> None:
    ours, its = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "moongate", "login", "kimi-code"),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "30", "KIMI_CODE_OAUTH_HOST": host},
        stdout=its,
        stderr=its,
    )
    os.close(its)
    said = ""
    try:
        async with asyncio.timeout(20):
            while "left" not in said:
                said += (await asyncio.to_thread(os.read, ours, 4096)).decode("utf-8", "replace")
            sim.oauth.approve(CODE.findall(said)[0])
            assert await process.wait() == 0
    finally:
        os.close(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert re.search(r"  https?://\S+\r\n  code: ", said)


# Waiting, without a process.


def waiting(lifetime: float = 5.0, interval: float = 0.01) -> DeviceCode:
    return DeviceCode(Sealed("device-example"), "ABCD-1234", "https://example.com/", lifetime, interval)


def told(word: str) -> Played:
    return Played(json.dumps({"error": word}).encode(), status=400, headers=JSON)


GRANTED = b'{"access_token":"at-example","refresh_token":"rt-example","expires_in":900}'


async def wait(stage: Stage, code: DeviceCode, slower: float = 0.0) -> Grant:
    return await confirmed("https://auth.example.com", code, Identity("moongate/0"), stage, slower=slower)


async def test_asked_too_often_it_asks_less_often_from_then_on() -> None:
    stage = Stage(told("slow_down"), *(told("authorization_pending") for _ in range(3)), Played(GRANTED, headers=JSON))
    began = asyncio.get_running_loop().time()
    assert (await wait(stage, waiting(), slower=0.1)).access == Sealed("at-example")
    assert asyncio.get_running_loop().time() - began >= 0.4


async def test_a_code_that_nobody_confirms_ends_by_itself() -> None:
    stage = Stage(*(told("authorization_pending") for _ in range(99)))
    with pytest.raises(GatewayError) as caught:
        await wait(stage, waiting(lifetime=0.1))
    assert caught.value.kind is Kind.LOGIN_EXPIRED


async def test_a_connection_that_comes_back_does_not_cost_the_code() -> None:
    lost = [GatewayError(Kind.UNREACHABLE, "cannot connect") for _ in range(FAILURES)]
    stage = Stage(*lost, told("authorization_pending"), *lost, Played(GRANTED, headers=JSON))
    assert (await wait(stage, waiting())).refresh == Sealed("rt-example")


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        ([told("expired_token")], Kind.LOGIN_EXPIRED),
        ([told("access_denied")], Kind.CREDENTIAL_REFUSED),
        ([told("invalid_client")], Kind.REQUEST_REFUSED),
        ([GatewayError(Kind.UNREACHABLE, "cannot connect")] * (FAILURES + 1), Kind.UNREACHABLE),
    ],
)
async def test_what_does_not_pass_ends_it(replies: list[Played | GatewayError], kind: Kind) -> None:
    stage = Stage(*replies)
    with pytest.raises(GatewayError) as caught:
        await wait(stage, waiting())
    assert caught.value.kind is kind
    assert len(stage.calls) == len(replies)
