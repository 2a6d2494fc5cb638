"""What people paste into a terminal: the lines of the first screen, and those that READMEs are full of."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping

import pytest

from conformance.stand import Gateway, scripted
from processes import Command

CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
POEM = "床前明月光，疑是地上霜。"
HELLO = {"model": "kimi-k3", "messages": [{"role": "user", "content": "Hello, 你好"}]}

Curl = Callable[..., str]


def shell(line: str, environ: Mapping[str, str], **given: object) -> str:
    """What a line prints that is pasted into a shell."""
    done = subprocess.run(
        ["/bin/sh", "-c", line], env={"PATH": "/usr/bin:/bin", **environ}, capture_output=True, timeout=20, **given
    )
    said, complained = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, f"{line}\nended with {done.returncode}: {complained}{said}"
    return said


def offered(command: Command, program: str) -> str:
    """The line of the first screen that begins with this program."""
    [line] = [line.strip() for line in command.said().splitlines() if line.strip().startswith(f"{program} ")]
    return line


@pytest.fixture
def curl(gateway: Gateway) -> Curl:
    """`curl ARGUMENTS URL/PATH`, with the key in $KEY."""

    def run(path: str, arguments: str = "", body: object = None) -> str:
        sent = "" if body is None else " -H 'content-type: application/json' --data-binary @-"
        given = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        line = f"curl --silent --show-error {arguments}{sent} {gateway.url}{path}"
        return shell(line, {"KEY": gateway.key, "no_proxy": "*"}, input=given)

    return run


AUTHORIZED = '-H "Authorization: Bearer $KEY"'


@CURL
def test_the_curl_line_of_the_first_screen_works_as_pasted(gateway: Gateway, bare_gateway_process: Command) -> None:
    shown = shell(offered(bare_gateway_process, "curl"), {"no_proxy": "*"})
    assert "simulated" in json.loads(shown)["choices"][0]["message"]["content"]
    with_key = {"MOONGATE_KEY": gateway.key, "no_proxy": "*"}
    shown = shell(offered(gateway.command, "curl"), with_key)
    assert "你好" in json.loads(shown)["choices"][0]["message"]["content"]


@pytest.mark.skipif(shutil.which("python3", path="/usr/bin:/bin") is None, reason="there is no python3 to paste into")
def test_the_python_line_of_the_first_screen_works_as_pasted(gateway: Gateway, bare_gateway_process: Command) -> None:
    utf8 = {"PYTHONIOENCODING": "utf-8", "no_proxy": "*"}
    assert "simulated" in shell(offered(bare_gateway_process, "python3"), utf8)
    assert "Hello" in shell(offered(gateway.command, "python3"), {**utf8, "MOONGATE_KEY": gateway.key})


def test_what_the_first_screens_say_holds_no_secret(gateway: Gateway, bare_gateway_process: Command) -> None:
    assert "DEMO MODE" in bare_gateway_process.said()
    assert "DEMO MODE" not in gateway.command.said()
    for secret in (gateway.key, "sk-example-conformance-platform", "sk-kimi-example-conformance-code"):
        assert secret not in gateway.command.said()


@CURL
def test_curl_gets_a_whole_answer(curl: Curl) -> None:
    reply = json.loads(curl("/v1/chat/completions", AUTHORIZED, HELLO))
    assert "Hello, 你好" in reply["choices"][0]["message"]["content"]


@CURL
def test_curl_gets_a_stream_that_reads_well(curl: Curl) -> None:
    messages = [{"role": "user", "content": scripted(text=POEM)}]
    reply = curl(
        "/v1/chat/completions", f"--no-buffer --include {AUTHORIZED}", {**HELLO, "messages": messages, "stream": True}
    )
    head, _, body = reply.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("HTTP/1.1 200")
    assert "content-type: text/event-stream" in head
    assert "x-moongate-route: moonshot/kimi-k3" in head
    *events, done, end = body.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == POEM


@CURL
@pytest.mark.parametrize("arguments", [AUTHORIZED, '-H "x-api-key: $KEY"'], ids=["bearer", "x-api-key"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/coding/v1/chat/completions"])
def test_curl_may_send_its_key_in_either_header(curl: Curl, path: str, arguments: str) -> None:
    reply = json.loads(curl(path, arguments, {**HELLO, "model": "kimi-for-coding"}))
    assert reply["object"] == "chat.completion"


@CURL
def test_curl_is_told_what_is_wrong(curl: Curl) -> None:
    code = "--write-out '\\n%{http_code}'"
    body, status = curl("/v1/chat/completions", code, HELLO).rsplit("\n", 1)
    assert status == "401"
    assert "Authorization: Bearer" in json.loads(body)["error"]["message"]

    body, status = curl("/v1/chat/completions", f"{code} {AUTHORIZED} --request GET").rsplit("\n", 1)
    assert status == "405"
    assert "POST" in json.loads(body)["error"]["message"]

    body, status = curl("/v1/chat/completions", f"{code} {AUTHORIZED} -d '{{\"model\": '").rsplit("\n", 1)
    assert status == "400"
    assert "not valid JSON" in json.loads(body)["error"]["message"]

    body, status = curl("/v1/nothing-here", f"{code} {AUTHORIZED}").rsplit("\n", 1)
    assert status == "404"
    assert "/v1/nothing-here" in json.loads(body)["error"]["message"]


@CURL
def test_curl_reads_the_pages(curl: Curl) -> None:
    assert json.loads(curl("/")) == {"status": "running"}
    assert json.loads(curl("/health"))["message"] == "Moongate is running"
    assert "200" in curl("/health/ready", "--head").splitlines()[0]
    assert "kimi-k3" in {model["id"] for model in json.loads(curl("/v1/models"))["data"]}
    assert "/v1/chat/completions" in json.loads(curl("/openapi.json"))["paths"]
    assert "swagger-ui" in curl("/docs")


@CURL
def test_curl_may_send_a_large_request_that_waits_to_be_asked_for(curl: Curl) -> None:
    """curl asks `Expect: 100-continue` before it sends a megabyte."""
    long = "月" * 500_000
    reply = json.loads(
        curl(
            "/v1/chat/completions",
            f"-H 'Expect: 100-continue' {AUTHORIZED}",
            {**HELLO, "messages": [{"role": "user", "content": scripted(long, text="Long")}]},
        )
    )
    assert reply["choices"][0]["message"]["content"] == "Long"
    assert reply["usage"]["prompt_tokens"] > 300_000
