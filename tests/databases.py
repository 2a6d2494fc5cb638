"""A real PostgreSQL server for tests: nobody else's, on a free port, without a care for power cuts."""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from moongate.core.sealed import Sealed

USER, PASSWORD = "moongate", "example:pass@word/%"
READY_WITHIN = 30.0
STOPPED_WITHIN = 10.0


class Server:
    """`url` names its first database. It can be stopped, started again on the same port, and frozen."""

    def __init__(self, programs: Path, folder: Path, account: pwd.struct_passwd | None) -> None:
        self.port = _free_port()
        self._programs = programs
        self._folder = folder
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres", scheme: str = "postgresql", password: str = PASSWORD) -> Sealed:
        quoted = password.translate({ord(letter): f"%{ord(letter):02X}" for letter in ":@/%"})
        return Sealed(f"{scheme}://{USER}:{quoted}@127.0.0.1:{self.port}/{database}")

    def create(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self._account is not None:
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
            os.chown(password, self._account.pw_uid, self._account.pw_gid)
        how = ["--auth=scram-sha-256", f"--pwfile={password}", f"--username={USER}", "--encoding=UTF8", "--locale=C"]
        made = self._run("initdb", "--no-sync", *how, "--pgdata", str(self._folder / "data"))
        output, _ = made.communicate()
        assert made.returncode == 0, output.decode()

    def start(self) -> None:
        settings = (f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        given = [word for setting in settings for word in ("-c", setting)]
        self._process = self._run("postgres", "-D", str(self._folder / "data"), *given, to_file=True)
        deadline = time.monotonic() + READY_WITHIN
        while not asyncio.run(self._answers()):
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.02)

    def stop(self, by: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends connections and tidies up, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait(STOPPED_WITHIN)
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections and requests and says nothing."""
        assert self._process is not None
        processes = [self._process.pid, *_children(self._process.pid)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def new_database(self) -> str:
        name = f"test_{secrets.token_hex(6)}"
        asyncio.run(self._execute(f"CREATE DATABASE {name}"))
        return name

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url().reveal(), timeout=2)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _answers(self) -> bool:
        try:
            await self._execute("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    def _run(self, program: str, *arguments: str, to_file: bool = False) -> subprocess.Popen[bytes]:
        account = self._account
        output = (self._folder / "log").open("ab") if to_file else subprocess.PIPE
        try:
            return subprocess.Popen(
                [self._programs / program, *arguments],
                cwd=self._folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )
        finally:
            if not isinstance(output, int):
                output.close()


@contextmanager
def postgresql() -> Iterator[Server]:
    """Until the block ends. Skips the test where there is no PostgreSQL on this machine."""
    programs, account = _programs(), _account()
    folder = Path(tempfile.mkdtemp(prefix="moongate-postgresql-"))  # pytest's own folders are closed to other users
    try:
        server = Server(programs, folder, account)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Where its programs are. Debian puts none of them on the PATH."""
    on_path = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    found = Path(on_path).resolve() if on_path else installed[-1] if installed else None
    if found is None or not found.with_name("postgres").exists():
        pytest.skip("there is no PostgreSQL here (initdb and postgres)")
    return found.parent


def _account() -> pwd.struct_passwd | None:
    """Who runs it: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    by_name = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = by_name.get("postgres") or by_name.get("nobody")
    if account is None:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
    return account


def _children(parent: int) -> list[int]:
    if not Path("/proc/self/stat").exists():
        pytest.skip("whose process is whose is only read from /proc")
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(words[1]) == parent:
            found.append(int(path.parent.name))
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
