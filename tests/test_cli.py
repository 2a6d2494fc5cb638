"""The command line as a person meets it: real processes, what they print, how they end."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

MOONGATE = (sys.executable, "-m", "moongate")


def _environ(extra: Mapping[str, str]) -> dict[str, str]:
    """Nothing of ours but what the test sets."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONUNBUFFERED": "1", **extra}


def _run(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MOONGATE, *arguments], cwd=cwd, env=_environ(extra), capture_output=True, text=True, timeout=30, check=False
    )


@contextmanager
def _started(
    *arguments: str, cwd: Path, until: str = "python3 -c", **extra: str
) -> Iterator[tuple[subprocess.Popen, str]]:
    """A running command and its first screen, up to the line that begins with `until`."""
    process = subprocess.Popen(
        [*MOONGATE, *arguments], cwd=cwd, env=_environ(extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        screen = ""
        for line in process.stdout:
            screen += line
            if line.strip().startswith(until):
                break
        yield process, screen
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


WRONG = [
    (("serve", "--port", "99999"), {}, "API_PORT=99999 (command line)"),
    (("serve",), {"API_PORT": "abc"}, "API_PORT=abc (environment)"),
    (("serve",), {"REQUEST_TIMEOUT": "soon"}, "REQUEST_TIMEOUT=soon (environment)"),
    (("serve",), {"MOONGATE_CONFIG": "nowhere.toml"}, "nowhere.toml"),
    (("serve", "--host", "no.such.host.invalid", "--port", "0"), {"API_MASTER_KEY": "sk-example-x"}, "API_HOST"),
    (("serve", "--port", "eight"), {}, "--port"),
    (("simulate", "--port", "70000"), {}, "--port"),
    (("surf",), {}, "surf"),
]


@pytest.mark.parametrize(("arguments", "extra", "named"), WRONG)
def test_what_is_wrong_is_named_and_the_exit_code_is_2(tmp_path: Path, arguments, extra, named: str) -> None:
    ended = _run(*arguments, cwd=tmp_path, **extra)
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    if named.isupper() or "=" in named:
        assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for command in ("serve", "simulate"):
            ended = _run(command, "--port", port, cwd=tmp_path)
            assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
            assert port in ended.stderr


@pytest.mark.parametrize("arguments", [(), ("serve",), ("simulate",)])
def test_every_command_has_help_with_an_example(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = _run(*arguments, "--help", cwd=tmp_path)
    assert ended.returncode == 0
    assert not arguments or "Example:" in ended.stdout


def test_without_a_credential_it_says_so_and_the_lines_it_shows_work_as_pasted(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with _started("serve", "--port", "0", cwd=tmp_path) as (_, screen):
        assert "DEMO MODE" in screen
        assert "演示模式" in screen
        lines = [line.strip() for line in screen.splitlines() if line.startswith(("  curl", "  python3"))]
        assert len(lines) == 2
        for line in lines:
            ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=20, check=True)
            assert "simulated" in ended.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_open_streams_end(tmp_path: Path, number: int) -> None:
    with _started("serve", "--port", "0", cwd=tmp_path) as (process, screen):
        url = re.search(r"http://[\d.:]+", screen)[0]
        body = (
            b'{"model":"kimi-k3","stream":true,"messages":[{"role":"user","content":"simulate: {\\"pause\\": 0.1}"}]}'
        )
        with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/chat/completions", body)) as reply:
            first = reply.readline()
            process.send_signal(number)
            rest = reply.read()
        assert first.startswith(b"data: ")
        assert rest.endswith(b"data: [DONE]\n\n")
        assert process.wait(timeout=10) == 0
        assert "Traceback" not in process.stderr.read()


def test_a_key_is_made_and_shown_once_when_it_listens_beyond_this_machine(tmp_path: Path) -> None:
    shown = re.compile(r"shown this once: (mg-\S+)")
    with _started("serve", "--host", "0.0.0.0", "--port", "0", cwd=tmp_path) as (_, screen):
        key = shown.search(screen)[1]
        line = next(line.strip() for line in screen.splitlines() if line.startswith("  python3"))
        ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=20, check=True)
        assert "simulated" in ended.stdout
    assert all(key not in path.read_text() for path in (tmp_path / ".moongate").iterdir())
    with _started("serve", "--host", "0.0.0.0", "--port", "0", cwd=tmp_path) as (_, screen):
        assert not shown.search(screen)
        assert "Callers need a key" in screen


def test_the_simulator_can_be_served_by_itself_and_put_behind_the_gateway(tmp_path: Path) -> None:
    with _started("simulate", "--port", "0", cwd=tmp_path, until="No model") as (_, about):
        settings = dict(re.findall(r"(KIMI_\w+)=(\S+)", about))
        assert set(settings) == {"KIMI_API_KEY", "KIMI_BASE_URL", "KIMI_CODE_API_KEY", "KIMI_API_BASE_URL"}
        with _started("serve", "--port", "0", cwd=tmp_path, **settings) as (_, screen):
            assert "moonshot-1 (moonshot), kimi-code-1 (kimi-code)" in screen
            url = re.search(r"http://[\d.:]+", screen)[0]
            for model, route in (("kimi-k3", "moonshot/kimi-k3"), ("k3", "kimi-code/k3")):
                body = f'{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}'.encode()
                with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/chat/completions", body)) as reply:
                    assert reply.headers["x-moongate-route"] == route


def test_the_log_is_one_json_object_a_line_when_nobody_watches(tmp_path: Path) -> None:
    with _started("serve", "--port", "0", cwd=tmp_path, LOG_LEVEL="debug") as (process, screen):
        url = re.search(r"http://[\d.:]+", screen)[0]
        with urllib.request.urlopen(f"{url}/health") as reply:
            assert reply.status == 200
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=10)
    lines = log.splitlines()
    assert lines
    assert all(line.startswith("{") and line.endswith("}") for line in lines)
    assert any('"path": "/health"' in line for line in lines)


def test_while_developing_it_reloads_when_the_code_changes(tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "src" / "moongate" / "__init__.py"
    with _started("serve", "--port", "0", cwd=tmp_path, NODE_ENV="development") as (process, _):
        os.utime(source)
        again = ""
        deadline = time.monotonic() + 20
        while "listens on" not in again and time.monotonic() < deadline:
            again += process.stdout.readline()
        assert "listens on" in again
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
