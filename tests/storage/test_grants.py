"""Logins in their files: nobody else's to read, exclusive across processes, told clearly where they cannot be read."""

import asyncio
import json
import stat
import sys
from pathlib import Path

import pytest

from moongate.core.grant import Grant
from moongate.core.sealed import Sealed
from moongate.storage.grants import GrantFile, file_of
from moongate.storage.seal import Cost, Seal

GRANT = Grant(Sealed("at-example-access"), Sealed("rt-example-refresh"), 1763712000.25, 900.0, "device-1")
CHEAP = Cost(n=16, r=1, p=1)
OPEN = Seal(None)


def kept(home: Path, name: str = "kimi-code", seal: Seal = OPEN) -> GrantFile:
    return GrantFile(file_of(home, name), seal, oauth_host="https://auth.example.com")


def test_what_is_saved_is_loaded_again_to_the_last_digit(tmp_path: Path) -> None:
    assert kept(tmp_path).load() is None
    kept(tmp_path).save(GRANT)
    assert kept(tmp_path).load() == GRANT


def test_the_file_says_what_it_is_and_is_the_owners_alone(tmp_path: Path) -> None:
    file = kept(tmp_path)
    file.save(GRANT)
    assert json.loads(file.path.read_bytes()) == {
        "version": 1,
        "upstream": "kimi-code",
        "access_token": "at-example-access",
        "refresh_token": "rt-example-refresh",
        "expires_at": 1763712000.25,
        "lifetime": 900.0,
        "device": "device-1",
        "oauth_host": "https://auth.example.com",
    }
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_a_login_belongs_to_who_granted_it_whatever_the_settings_say_now(tmp_path: Path) -> None:
    kept(tmp_path).save(GRANT)
    moved = GrantFile(file_of(tmp_path, "kimi-code"), OPEN, oauth_host="https://elsewhere.example.com")
    moved.load()
    assert moved.oauth_host == "https://auth.example.com"
    moved.save(GRANT)
    assert json.loads(moved.path.read_bytes())["oauth_host"] == "https://auth.example.com"


def test_a_sealed_file_holds_nothing_of_the_tokens(tmp_path: Path) -> None:
    file = kept(tmp_path, seal=Seal(Sealed("a long passphrase"), CHEAP))
    file.save(GRANT)
    held = file.path.read_bytes()
    assert not any(text in held for text in (b"at-example", b"rt-example", b"device-1", b"auth.example"))
    assert kept(tmp_path, seal=Seal(Sealed("a long passphrase"), CHEAP)).load() == GRANT


@pytest.mark.parametrize("secret", [None, Sealed("another")])
def test_a_sealed_file_without_its_secret_names_the_setting_and_the_file(tmp_path: Path, secret: Sealed | None) -> None:
    kept(tmp_path, seal=Seal(Sealed("a long passphrase"), CHEAP)).save(GRANT)
    with pytest.raises(ValueError, match=r"kimi-code\.json .*MOONGATE_SECRET"):
        kept(tmp_path, seal=Seal(secret, CHEAP)).load()


def test_a_plain_file_is_read_with_a_secret_and_sealed_when_it_is_next_written(tmp_path: Path) -> None:
    kept(tmp_path).save(GRANT)
    file = kept(tmp_path, seal=Seal(Sealed("a long passphrase"), CHEAP))
    assert file.load() == GRANT
    file.save(GRANT)
    assert b"at-example" not in file.path.read_bytes()


REST = b',"refresh_token":"r","expires_at":1,"lifetime":900,"upstream":"kimi-code","device":"","oauth_host":""}'
BROKEN = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b'{"access_token":"at-example-access"}',
    b'{"version":2,"access_token":"at-example-access"' + REST,
    b'{"version":1,"access_token":["at-example-access"]' + REST,
    b"[" * 100_000,
]


@pytest.mark.parametrize("held", BROKEN)
def test_a_file_that_cannot_be_read_is_named_without_what_is_in_it(tmp_path: Path, held: bytes) -> None:
    file = kept(tmp_path)
    file.save(GRANT)
    file.path.write_bytes(held)
    with pytest.raises(ValueError, match=r"kimi-code\.json cannot be read") as caught:
        file.load()
    assert "at-example" not in str(caught.value)


async def test_only_one_at_a_time_has_the_lock(tmp_path: Path) -> None:
    inside = most = 0

    async def enter() -> None:
        nonlocal inside, most
        async with kept(tmp_path).lock():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(10)))
    assert most == 1


async def test_one_file_object_does_not_nest_its_lock(tmp_path: Path) -> None:
    file = kept(tmp_path)
    async with file.lock():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), file.lock():
                pass


async def test_two_logins_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async with kept(tmp_path, "one").lock(), asyncio.timeout(5), kept(tmp_path, "other").lock():
        pass


async def test_who_is_cancelled_while_waiting_or_inside_leaves_the_lock_free(tmp_path: Path) -> None:
    async def hold() -> None:
        async with kept(tmp_path).lock():
            await asyncio.sleep(60)

    tasks = [asyncio.create_task(hold()) for _ in range(5)]
    for task in tasks:
        await asyncio.sleep(0.02)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(5), kept(tmp_path).lock():
        pass


async def test_who_is_cancelled_at_once_leaves_it_free_too(tmp_path: Path) -> None:
    for turns in range(6):
        task = asyncio.create_task(took(kept(tmp_path)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(5), kept(tmp_path).lock():
        pass


async def took(file: GrantFile) -> None:
    async with file.lock():
        pass


async def test_another_process_is_kept_out_and_the_lock_of_a_killed_one_is_free(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from moongate.storage.grants import GrantFile; from moongate.storage.seal import Seal\n"
        "async def main():\n"
        "  async with GrantFile(Path(sys.argv[1]), Seal(None)).lock():\n"
        "    print('locked', flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    file = kept(tmp_path)
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(file.path), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"locked\n"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), file.lock():
            pass
    holder.kill()
    await holder.wait()
    async with asyncio.timeout(5), file.lock():
        pass


async def test_a_folder_that_cannot_be_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("")
    with pytest.raises(OSError, match="credentials"):
        async with kept(tmp_path).lock():
            pass
