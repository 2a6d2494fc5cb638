"""What the operator changes while the gateway runs: taken over without dropping a request, or told and not taken."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness import Gateway, served, until
from moongate.app import beside
from moongate.reloading import Reloading
from moongate.settings import load
from moongate.simulator import Simulator
from moongate.simulator.script import Script
from moongate.watching import look

FIRST, SECOND = "sk-example-account-aaaa", "sk-example-account-bbbb"


def accounts(sim: Simulator, *keys: str, more: str = "") -> str:
    return more + "".join(
        f'[[accounts]]\nname = "{key[-1]}"\nupstream = "moonshot"\ncredential = "{key}"\nbase_url = "{sim.platform}"\n'
        for key in keys
    )


def rewrite(path: Path, text: str) -> None:
    """As editors do: another file takes the place of the old."""
    scratch = path.with_suffix(".tmp")
    scratch.write_text(text)
    scratch.replace(path)


@asynccontextmanager
async def reloaded(home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    monkeypatch.setenv("API_PORT", "0")
    async with served({}, home) as gateway:
        settings = load(directory=home)
        async with beside(Reloading(gateway.running, settings, {}, home, every=0.02).run()):
            await asyncio.sleep(0.1)
            yield gateway


def said(gateway: Gateway, event: str) -> bool:
    return any(entry["event"] == event for entry in gateway.log)


def keys_of(sim: Simulator) -> set[str]:
    return {seen.headers["authorization"][-4:] for seen in sim.seen if "chat" in seen.path}


async def test_another_account_serves_as_soon_as_the_file_names_it(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST))
    async with reloaded(tmp_path, monkeypatch) as gateway:
        async with gateway.ask() as reply:
            assert reply.status == 200
        rewrite(tmp_path / "moongate.toml", accounts(sim, SECOND))
        await until(lambda: said(gateway, "settings taken"))
        sim.seen.clear()
        async with gateway.ask() as reply:
            assert reply.status == 200
        assert keys_of(sim) == {"bbbb"}


async def test_a_reply_under_way_goes_on_by_the_settings_it_began_with(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST))
    sim.enqueue(Script(text="word " * 30, reasoning="", pause=0.02))
    async with reloaded(tmp_path, monkeypatch) as gateway:
        async with gateway.ask(stream=True) as reply:
            first = await reply.content.readany()
            rewrite(tmp_path / "moongate.toml", accounts(sim, SECOND))
            await until(lambda: said(gateway, "settings taken"))
            rest = await reply.read()
        assert (first + rest).endswith(b"data: [DONE]\n\n")
        assert gateway.records()[-1]["outcome"] == "answered"
        assert keys_of(sim) == {"aaaa"}


@pytest.mark.parametrize("broken", ["[[accounts", 'accounts = "none"', "[[accounts]]\nname = 'x'\n", "nonsense = 1"])
async def test_a_broken_file_is_told_and_the_old_settings_serve_on(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST))
    async with reloaded(tmp_path, monkeypatch) as gateway:
        rewrite(tmp_path / "moongate.toml", broken)
        await until(lambda: said(gateway, "settings not taken"))
        (entry,) = [entry for entry in gateway.log if entry["event"] == "settings not taken"]
        assert "moongate.toml" in entry["reason"] or "accounts" in entry["reason"]
        async with gateway.ask() as reply:
            assert reply.status == 200
        rewrite(tmp_path / "moongate.toml", accounts(sim, SECOND))
        await until(lambda: said(gateway, "settings taken"))


async def test_a_hangup_signal_reads_the_settings_anew(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST))
    async with reloaded(tmp_path, monkeypatch) as gateway:
        monkeypatch.setenv("MAX_RETRIES", "1")  # nothing to be seen in any file
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: said(gateway, "settings taken"))


async def test_what_is_known_of_an_account_survives_a_change_of_another(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST, SECOND))
    async with reloaded(tmp_path, monkeypatch) as gateway:
        sim.enqueue(Script(refuse="invalid_authentication"))
        async with gateway.ask() as reply:
            assert reply.headers["x-moongate-attempts"] == "2"
        rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST))
        await until(lambda: said(gateway, "settings taken"))
        (report,) = gateway.running.pool.reports()
        assert (report.name, report.state, report.kind) == ("a", "resting", "credential_refused")


async def test_who_may_come_in_still_depends_on_where_it_listens(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that is written down anew is not listened on before a restart, so it opens no door either."""
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST, more='api_host = "0.0.0.0"\n'))
    async with reloaded(tmp_path, monkeypatch) as gateway:
        async with gateway.ask() as reply:
            assert reply.status == 401
        rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST, more='api_host = "127.0.0.1"\nmax_retries = 1\n'))
        await until(lambda: said(gateway, "settings taken"))
        assert said(gateway, "settings wait for a restart")
        async with gateway.ask() as reply:
            assert reply.status == 401


async def test_a_credential_file_that_comes_later_is_waited_for(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST))
    async with reloaded(tmp_path, monkeypatch) as gateway:
        rewrite(tmp_path / "moongate.toml", accounts(sim, "file:b"))
        await until(lambda: said(gateway, "settings not taken"))
        rewrite(tmp_path / "b", SECOND)
        await until(lambda: said(gateway, "settings taken"))
        async with gateway.ask() as reply:
            assert reply.status == 200
        assert keys_of(sim) == {"bbbb"}


@pytest.mark.parametrize("broken", [b"", b"\xff\xfe", "ключ".encode()])
async def test_a_credential_file_that_is_broken_is_told_once_and_taken_when_it_is_mended(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bytes
) -> None:
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST))
    (tmp_path / "b").write_bytes(broken)
    async with reloaded(tmp_path, monkeypatch) as gateway:
        rewrite(tmp_path / "moongate.toml", accounts(sim, "file:b"))
        await until(lambda: said(gateway, "settings not taken"))
        await asyncio.sleep(0.3)
        assert [entry["event"] for entry in gateway.log].count("settings not taken") == 1
        rewrite(tmp_path / "b", SECOND)
        await until(lambda: said(gateway, "settings taken"))


@pytest.mark.parametrize("first", ["", "[[accounts", "nonsense = 1"])
async def test_a_settings_file_of_another_name_is_taken_when_it_is_mended(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST))
    if first:
        rewrite(tmp_path / "other.toml", first)
    async with reloaded(tmp_path, monkeypatch) as gateway:
        rewrite(tmp_path / ".env", "MOONGATE_CONFIG=other.toml\n")
        await until(lambda: said(gateway, "settings not taken"))
        rewrite(tmp_path / "other.toml", accounts(sim, SECOND))
        await until(lambda: said(gateway, "settings taken"))


async def test_what_waits_for_a_restart_is_told_once(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").write_text(SECOND)
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST))
    async with reloaded(tmp_path, monkeypatch) as gateway:
        for retries in (1, 2):
            more = f'user_agent = "another"\nmax_retries = {retries}\n'
            rewrite(tmp_path / "moongate.toml", accounts(sim, "file:b", more=more))
            await until(lambda: said(gateway, "settings taken"))
            await asyncio.sleep(0.3)
        events = [entry["event"] for entry in gateway.log]
        assert events.count("settings wait for a restart") == 1
        assert events.count("settings taken") == 2


async def test_a_home_written_down_anew_brings_none_of_its_logins_before_the_restart(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST))
    (tmp_path / "other" / "credentials").mkdir(parents=True)
    (tmp_path / "other" / "credentials" / "kimi-code.json").write_text("{}")
    async with reloaded(tmp_path, monkeypatch) as gateway:
        rewrite(tmp_path / "moongate.toml", accounts(sim, SECOND, more='moongate_home = "other"\n'))
        await until(lambda: said(gateway, "settings taken"))
        (waits,) = [entry for entry in gateway.log if entry["event"] == "settings wait for a restart"]
        assert waits["settings"] == ("MOONGATE_HOME",)
        assert [account.name for account in gateway.running.pool.accounts] == ["b"]


async def test_a_home_that_fails_in_a_change_of_settings_ends_neither_service_nor_watch(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its keys the gateway has to make one, and cannot keep it where a folder stands."""
    far = 'api_host = "0.0.0.0"\n'
    key = {"authorization": "Bearer sk-example-caller"}
    rewrite(tmp_path / "moongate.toml", accounts(sim, FIRST, more=f'{far}valid_api_keys = "sk-example-caller"\n'))
    async with reloaded(tmp_path, monkeypatch) as gateway:
        (tmp_path / ".moongate" / "keys.json").mkdir(parents=True)
        rewrite(tmp_path / "moongate.toml", accounts(sim, SECOND, more=far))
        await until(lambda: said(gateway, "settings not taken"))
        async with gateway.ask(headers=key) as reply:
            assert reply.status == 200
        rewrite(tmp_path / "moongate.toml", accounts(sim, SECOND, more=f'{far}valid_api_keys = "sk-example-caller"\n'))
        await until(lambda: said(gateway, "settings taken"))


def test_what_can_be_seen_of_files_changes_with_them_and_with_what_folders_hold(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    views = [look((file, folder))]
    file.write_text("a")
    views.append(look((file, folder)))
    folder.mkdir()
    (folder / "inner").write_text("b")
    views.append(look((file, folder)))
    file.unlink()
    views.append(look((file, folder)))
    file.write_text("a")
    views.append(look((file, folder)))
    file.chmod(0o600)
    views.append(look((file, folder)))
    assert all(view != other for view, other in itertools.combinations(views, 2))
