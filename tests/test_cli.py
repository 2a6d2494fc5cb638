"""The command line as a person meets it: real processes, what they print, how they end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import AbstractContextManager
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path

import pytest

from processes import Command, moongate


def _run(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "moongate", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **extra},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _started(name: str, directory: Path, *arguments: str, **environ: str) -> AbstractContextManager[Command]:
    return moongate(name, name, "--port", "0", *arguments, directory=directory, environ=environ)


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


@pytest.mark.parametrize("arguments", [(), ("serve",), ("simulate",), ("check",), ("accounts",), ("accounts", "reset")])
def test_every_command_has_help_with_an_example(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = _run(*arguments, "--help", cwd=tmp_path)
    assert ended.returncode == 0
    assert not arguments or "Example" in ended.stdout


def test_without_a_credential_it_says_so_in_two_languages(tmp_path: Path) -> None:
    with _started("serve", tmp_path) as gateway:
        assert "DEMO MODE" in gateway.said()
        assert "演示模式" in gateway.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_open_streams_end(tmp_path: Path, number: int) -> None:
    with _started("serve", tmp_path) as gateway:
        message = {"role": "user", "content": 'simulate: {"pause": 0.1}'}
        with _post(gateway.url, {"model": "kimi-k3", "stream": True, "messages": [message]}) as reply:
            first = reply.readline()
            gateway.process.send_signal(number)
            rest = reply.read()
        assert first.startswith(b"data: ")
        assert rest.endswith(b"data: [DONE]\n\n")
        assert gateway.process.wait(timeout=10) == 0
        assert "Traceback" not in gateway.said()


def test_a_second_signal_cuts_what_is_open_and_the_log_says_so(tmp_path: Path) -> None:
    with _started("serve", tmp_path) as gateway:
        message = {"role": "user", "content": 'simulate: {"stall_after": 2}'}
        with _post(gateway.url, {"model": "kimi-k3", "stream": True, "messages": [message]}) as reply:
            reply.readline()
            gateway.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 10
            while "Once more" not in gateway.said():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            gateway.process.send_signal(signal.SIGTERM)
            with pytest.raises((IncompleteRead, OSError)):
                reply.read()
        assert gateway.process.wait(timeout=10) == 0
    record = next(json.loads(line) for line in gateway.said().splitlines() if '"event":"request"' in line)
    assert record["outcome"] == "failed"


def test_the_first_screen_warns_of_what_is_likely_wrong(tmp_path: Path) -> None:
    environ = {"KIMI_API_KEY": "sk-kimi-example", "VALID_API_KEYS": "k1", "RATE_LIMIT_MAX_REQUESTS": "5"}
    with _started("serve", tmp_path, **environ) as gateway:
        said = gateway.said()
    assert "KIMI_CODE_API_KEY" in said
    assert "REQUIRE_API_KEY=true" in said
    assert "not supported by this version: RATE_LIMIT_MAX_REQUESTS" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device on this machine")
def test_a_log_that_cannot_be_written_fails_no_request(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full, (tmp_path / "out").open("w+") as out:
        command = [sys.executable, "-m", "moongate", "serve", "--port", "0"]
        process = subprocess.Popen(command, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, stdout=out, stderr=full)
        try:
            deadline = time.monotonic() + 20
            while not (found := re.search(r"listens on (\S+)", (tmp_path / "out").read_text())):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            for _ in range(3):
                with _post(found[1], {"model": "kimi-k3", "messages": [{"role": "user", "content": "x"}]}) as reply:
                    assert reply.status == 200
        finally:
            process.kill()
            process.wait()


def test_a_key_is_made_and_shown_once_when_it_listens_beyond_this_machine(tmp_path: Path) -> None:
    shown = re.compile(r"shown this once: (mg-\S+)")
    beyond = ("--host", "0.0.0.0")
    with _started("serve", tmp_path, *beyond) as gateway:
        found = shown.search(gateway.said())
        assert found is not None
        line = next(line.strip() for line in gateway.said().splitlines() if line.startswith("  python3"))
        ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=20, check=True)
        assert "simulated" in ended.stdout
    kept = [path for path in (tmp_path / ".moongate").rglob("*") if path.is_file()]
    assert all(found[1].encode() not in path.read_bytes() for path in kept)
    with _started("serve", tmp_path, *beyond) as gateway:
        assert not shown.search(gateway.said())
        assert "put yours into MOONGATE_KEY" in gateway.said()


def test_the_simulator_can_be_served_by_itself_and_put_behind_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    with _started("simulate", tmp_path) as simulator:
        settings = dict(re.findall(r"(KIMI_\w+)=(\S+)", simulator.said()))
        assert set(settings) == {
            *("KIMI_API_KEY", "KIMI_BASE_URL", "KIMI_CODE_API_KEY", "KIMI_API_BASE_URL"),
            *("KIMI_WEB_BASE_URL", "KIMI_WEB_AUTH_URL", "KIMI_TOKENS", "KIMI_SITE_ENABLED", "KIMI_SITE_BASE_URL"),
        }
        with _started("serve", tmp_path / "gateway", **settings) as gateway:
            assert "moonshot-1 (moonshot), kimi-code-1 (kimi-code)" in gateway.said()
            assert "kimi-web-1 (kimi-web), kimi-site (kimi-site)" in gateway.said()
            assert gateway.said().count("terms of use") == gateway.said().count("whoever runs it reads") == 1
            for model, route in (
                ("kimi-k3", "moonshot/kimi-k3"),
                ("k3", "kimi-code/k3"),
                ("k2", "kimi-web/k2"),
                ("kimi-k2-instruct", "kimi-site/kimi-k2-instruct"),
            ):
                body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
                with _post(gateway.url, body) as reply:
                    assert reply.headers["x-moongate-route"] == route


def test_accounts_are_checked_without_a_gateway_and_the_exit_code_says_how_they_are(tmp_path: Path) -> None:
    with _started("simulate", tmp_path) as simulator:
        settings = dict(re.findall(r"(KIMI_\w+)=(\S+)", simulator.said()))
        well = _run("check", "--json", cwd=tmp_path, **settings)
        assert (well.returncode, well.stderr) == (0, "")
        assert [report["problem"] for report in json.loads(well.stdout)["accounts"]] == [""] * 4
    ill = _run("check", cwd=tmp_path, LANG="zh_CN.UTF-8", PYTHONUTF8="1", **settings)
    assert ill.returncode == 1
    assert ill.stdout.count("cannot connect") == 4
    assert "账号" in ill.stdout
    assert all(key not in well.stdout + ill.stdout for key in (settings["KIMI_API_KEY"], settings["KIMI_CODE_API_KEY"]))


def test_a_running_gateway_tells_of_its_accounts_and_a_stopped_one_is_said_to_be_none(tmp_path: Path) -> None:
    with _started("serve", tmp_path, KIMI_API_KEY="sk-example-0123456789", KIMI_BASE_URL="http://127.0.0.1:9/v1"):
        listed = _run("accounts", cwd=tmp_path)
        assert (listed.returncode, listed.stderr) == (0, "")
        assert "moonshot-1" in listed.stdout
        assert "…6789" in listed.stdout
        assert _run("accounts", "reset", "moonshot-1", cwd=tmp_path).returncode == 0
        assert "there are: moonshot-1" in _run("accounts", "reset", "nobody", cwd=tmp_path).stderr
    stopped = _run("accounts", cwd=tmp_path)
    assert stopped.returncode == 1
    assert "moongate check" in stopped.stderr


def test_the_log_is_one_json_object_a_line_when_nobody_watches(tmp_path: Path) -> None:
    with _started("serve", tmp_path, LOG_LEVEL="debug") as gateway, urllib.request.urlopen(f"{gateway.url}/health"):
        pass
    lines = [line for line in gateway.said().splitlines() if "{" in line and not line.startswith("  ")]
    records = [json.loads(line) for line in lines]
    assert "/health" in [record.get("path") for record in records]


def test_while_developing_it_reloads_when_the_code_changes(tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "src" / "moongate" / "__init__.py"
    with _started("serve", tmp_path, NODE_ENV="development") as gateway:
        deadline = time.monotonic() + 40
        while gateway.said().count("listens on") < 2:
            assert time.monotonic() < deadline
            os.utime(source)  # more than once: the first may come before it began to watch
            time.sleep(1)


def _post(url: str, body: dict[str, object]) -> HTTPResponse:
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode())
    return urllib.request.urlopen(request, timeout=10)


def test_what_a_program_reads_is_json_though_something_is_logged(tmp_path: Path) -> None:
    folder = tmp_path / ".moongate" / "credentials"
    folder.mkdir(parents=True)
    (folder / "broken.json").write_text("{")
    done = _run("check", "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert json.loads(done.stdout)
    assert "login cannot be read" in done.stderr


def test_a_running_gateway_can_be_asked_while_its_settings_stand_wrong(tmp_path: Path) -> None:
    with _started("serve", tmp_path):
        (tmp_path / "moongate.toml").write_text("[[accounts")
        done = _run("accounts", cwd=tmp_path)
    assert done.returncode == 0
    assert "demo" in done.stdout
    assert "moongate.toml" in done.stderr
