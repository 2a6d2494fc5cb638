"""The running gateway is found by what it left in its home, and asked as its operator."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from moongate.commands import accounts

WORD = "the-word-of-the-operator"
REPORT = {"name": "main", "upstream": "moonshot", "credential": "…6789", "state": "ready"}


class Gateway(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer({"accounts": [REPORT]} if self.path == "/admin/accounts" else None)

    def do_POST(self) -> None:
        self._answer({"accounts": [REPORT]} if self.path == "/admin/accounts/main/reset" else None)

    def _answer(self, found: object) -> None:
        knows = self.headers["authorization"] == f"Bearer {WORD}"
        status = 401 if not knows else 404 if found is None else 200
        body = json.dumps(found or {"error": {"message": "there is no account of this name; there are: main"}}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "MOONGATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # this machine is behind none
    home = tmp_path / ".moongate"
    home.mkdir()
    return home


def announce(home: Path, url: str, *, token: str = WORD, pid: int | None = None) -> None:
    said = {"url": url, "token": token, "pid": os.getpid() if pid is None else pid}
    (home / "running.json").write_text(json.dumps(said))


def test_the_running_gateway_is_asked(home: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    announce(home, url)
    assert accounts.listed({}, as_json=False) == 0
    assert "…6789" in capsys.readouterr().out
    assert accounts.listed({}, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["accounts"][0]["name"] == "main"


def test_an_account_is_reset_by_its_name(home: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    announce(home, url)
    assert accounts.reset({}, "main", as_json=False) == 0
    assert "main" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nobody", "../accounts", "a/b?c", "主"])
def test_a_name_nobody_has_is_answered_with_those_there_are(
    home: Path, url: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    announce(home, url)
    assert accounts.reset({}, name, as_json=False) == 1
    assert "there are: main" in capsys.readouterr().err


def test_without_a_gateway_a_sentence_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert accounts.listed({}, as_json=False) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "No gateway is running in MOONGATE_HOME=.moongate" in said.err
    assert "moongate check" in said.err


def test_a_gateway_that_died_is_told_no_word(home: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    announce(home, url, pid=2**22 + 1)
    assert accounts.listed({}, as_json=False) == 1
    assert "No gateway is running" in capsys.readouterr().err


def test_a_gateway_that_closed_its_port_is_not_running(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    announce(home, f"http://127.0.0.1:{port}")
    assert accounts.listed({}, as_json=False) == 1
    assert f"No gateway is running at http://127.0.0.1:{port}" in capsys.readouterr().err


def test_another_gateway_on_its_port_is_told_apart(home: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    announce(home, url, token="another")
    assert accounts.listed({}, as_json=False) == 1
    said = capsys.readouterr().err
    assert "another gateway" in said
    assert WORD not in said


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"hello\r\n\r\n"])
def test_what_is_no_gateway_is_said_to_be_none(home: Path, answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def once() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=once)
        thread.start()
        announce(home, f"http://127.0.0.1:{server.getsockname()[1]}")
        assert accounts.listed({}, as_json=False) == 1
        thread.join()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "gateway" in said
