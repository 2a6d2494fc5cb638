"""Files on their way to a site, in both generations: what is asked, how long it is waited, and what is refused."""

import json
from typing import Any

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.prompt import Media
from moongate.core.sealed import Sealed
from moongate.upstreams.kimi_web import files
from moongate.upstreams.kimi_web.files import File
from moongate.upstreams.kimi_web.headers import Caller
from moongate.wire.http import Flow, HttpCall, HttpHead, HttpReply

HOST = "https://www.example.com"
STORE = "https://store.example.org/place?signature=example"
CALLER = Caller(HOST, "moongate/test", Sealed("at-example-0123456789"))
PICTURE = File("cat.png", "image/png", b"\x89PNG example", is_image=True)
PAPER = File("报告.pdf", "application/pdf", b"%PDF example", is_image=False)

UPLOADED = {"file": {"id": "f1", "meta": {"name": "a", "sizeBytes": "7"}, "blob": {"signUrl": "x"}}}
SEEN = {"file": {**UPLOADED["file"], "parseResult": {"thumbnail": {"thumbnailUrl": "https://example.org/t"}}}}
PLACE = {"url": STORE, "object_name": "object-1", "file_id": "i1"}
PAGE = b"<!doctype html><title>Just a moment</title>"


def progress(status: str | None, file_id: str = "f1") -> dict[str, object]:
    return {"progresses": [{"fileId": file_id, **({"status": f"PROCESS_STATUS_{status}"} if status else {})}]}


def reply(body: object, status: int = 200) -> HttpReply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(HttpHead(status, {"content-type": "application/json"}), data)


def played(flow: Flow[Any], *replies: object) -> tuple[list[HttpCall], Any]:
    """The calls, and the result or the error."""
    calls = [next(flow)]
    try:
        for answer in replies:
            calls.append(flow.send(answer if isinstance(answer, HttpReply) else reply(answer)))  # noqa: PERF401
    except StopIteration as stop:
        return calls, stop.value
    except GatewayError as error:
        return calls, error
    return calls, None


def paths(calls: list[HttpCall]) -> list[str]:
    return [call.url.removeprefix(HOST) for call in calls]


# What may be sent.


def test_a_file_without_a_name_gets_one() -> None:
    given = (
        Media("image", b"x", "image/png"),
        Media("file", b"x", "application/pdf", name="a.pdf"),
        Media("file", b"x"),
        Media("image", b"x", "Image/JPEG; q=1"),
        Media("file", b"x", "text/plain", name="lone \ud800"),
    )
    assert [(file.name, file.media_type, file.is_image) for file in files.files(given)] == [
        ("image-1.png", "image/png", True),
        ("a.pdf", "application/pdf", False),
        ("file-3.bin", "application/octet-stream", False),
        ("image-4.jpg", "image/jpeg", True),
        ("lone ?", "text/plain", False),
    ]


@pytest.mark.parametrize("media", [Media("image", url="https://example.org/cat.png"), Media("file", name="empty.txt")])
def test_what_is_not_here_is_refused_by_name(media: Media) -> None:
    with pytest.raises(GatewayError) as failure:
        files.files([media])
    assert failure.value.kind is Kind.INVALID_REQUEST
    assert (media.url or media.name) in failure.value.message


def test_what_is_too_large_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 4)
    with pytest.raises(GatewayError) as failure:
        files.files([Media("file", b"12345", name="large.bin")])
    assert failure.value.kind is Kind.TOO_LARGE
    assert "large.bin" in failure.value.message


# The newer generation.


def test_an_image_with_a_thumbnail_can_be_used_at_once() -> None:
    calls, file_id = played(files.upload(CALLER, PICTURE), SEEN)
    assert (paths(calls), file_id) == (["/apiv2-files/file/upload"], "f1")
    (call,) = calls
    assert call.headers["authorization"] == "Bearer at-example-0123456789"
    assert call.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"; filename="cat.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG example\r\n' in call.body


@pytest.mark.parametrize(("file", "uploaded"), [(PAPER, SEEN), (PAPER, UPLOADED), (PICTURE, UPLOADED)])
def test_anything_else_is_asked_after_until_it_is_read(file: File, uploaded: object) -> None:
    answers = [uploaded, progress("PROCESSING"), progress(None), progress("SUCCESS", "other"), progress("SUCCESS")]
    calls, file_id = played(files.upload(CALLER, file), *answers)
    polls = calls[1:]
    assert file_id == "f1"
    assert paths(polls) == ["/apiv2-files/kimi.gateway.file.v1.FileService/GetFileParseProgress"] * 4
    assert [json.loads(call.body) for call in polls] == [{"file_ids": ["f1"]}] * 4
    assert [call.after for call in calls] == [0.0, 1.0, 1.0, 1.0, 1.0]


def test_a_file_that_cannot_be_read_is_refused_by_name() -> None:
    _, error = played(files.upload(CALLER, PAPER), UPLOADED, progress("FAILED"))
    assert error.kind is Kind.REQUEST_REFUSED
    assert "报告.pdf" in error.message


def test_asking_after_a_file_has_an_end() -> None:
    calls, error = played(files.upload(CALLER, PAPER), UPLOADED, *[progress("PROCESSING")] * 40)
    assert (len(calls), error.kind) == (31, Kind.TIMED_OUT)
    assert "报告.pdf" in error.message


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply({"code": "unauthenticated"}, 401), Kind.CREDENTIAL_REFUSED),
        (reply({"code": "invalid_argument", "message": "too big"}, 400), Kind.REQUEST_REFUSED),
        (reply(b"busy", 503), Kind.OVERLOADED),
        (reply(PAGE), Kind.FAILED),
        (reply({"file": {}}), Kind.PROTOCOL),
        (reply({"file": [1]}), Kind.PROTOCOL),
        (reply({"file": {"id": 5}}), Kind.PROTOCOL),
        (reply(b"[" * 9000), Kind.FAILED),
    ],
)
def test_a_refused_upload_is_what_the_site_says(answer: HttpReply, kind: Kind) -> None:
    _, error = played(files.upload(CALLER, PAPER), answer)
    assert error.kind is kind


def test_a_refused_question_after_a_file_is_what_the_site_says() -> None:
    _, error = played(files.upload(CALLER, PAPER), UPLOADED, reply({"code": "unauthenticated"}, 401))
    assert error.kind is Kind.CREDENTIAL_REFUSED


def test_several_files_keep_their_order() -> None:
    both = files.in_turn(files.upload(CALLER, file) for file in (PICTURE, PICTURE))
    other = {"file": {**SEEN["file"], "id": "f2"}}
    assert played(both, SEEN, other)[1] == ("f1", "f2")


# The older generation.


def test_a_file_goes_through_a_store_that_is_shown_no_token() -> None:
    answers = [PLACE, b"", {"id": "d1", "name": "a", "status": "pending"}, {"id": "d1", "status": "initialized"}]
    calls, file_id = played(files.upload_legacy(CALLER, PAPER, "chat1"), *answers, {"status": "parsed"})
    assert file_id == "d1"
    assert [(call.method, url) for call, url in zip(calls, paths(calls), strict=True)] == [
        ("POST", "/api/pre-sign-url"),
        ("PUT", STORE),
        ("POST", "/api/file"),
        ("POST", "/api/file"),
        ("POST", "/api/file/parse_process"),
    ]
    ask, put, told, again, process = calls
    assert json.loads(ask.body) == {"action": "file", "name": "报告.pdf"}
    assert (put.headers, put.body) == (
        {"content-type": "application/pdf", "user-agent": "moongate/test"},
        b"%PDF example",
    )
    assert json.loads(told.body) == {
        "type": "file",
        "name": "报告.pdf",
        "object_name": "object-1",
        "file_id": "",
        "chat_id": "chat1",
    }
    assert (told.after, again.after, again.body == told.body) == (0.0, 1.0, True)
    assert json.loads(process.body) == {"ids": ["d1"], "timeout": 120_000}


def test_an_image_is_told_by_the_id_of_its_place() -> None:
    answers = [PLACE, b"", {"id": "d1", "status": "parsed"}]
    calls, file_id = played(files.upload_legacy(CALLER, PICTURE, "chat1"), *answers)
    assert (len(calls), file_id) == (3, "d1")
    assert json.loads(calls[0].body) == {"action": "image", "name": "cat.png"}
    assert json.loads(calls[2].body) == {"type": "image", "file_id": "i1", "name": "cat.png"}


TAKEN = [PLACE, b"", {"id": "d1", "status": "initialized"}]


@pytest.mark.parametrize(
    "told",
    [
        {"status": "parsed"},
        {"items": [{"id": "d1", "status": "parsed"}]},
        b'data: {"event":"resp","status":"parsing"}\n\ndata: {"event":"resp","status":"parsed"}\n\n',
        {},
        b"",
    ],
)
def test_that_a_file_was_parsed_is_read_in_any_form(told: object) -> None:
    assert played(files.upload_legacy(CALLER, PAPER, "chat1"), *TAKEN, told)[1] == "d1"


def test_a_file_that_takes_its_time_is_asked_after_again() -> None:
    answers = [*TAKEN, {"status": "parsing"}, {"status": "parsed"}]
    calls, file_id = played(files.upload_legacy(CALLER, PAPER, "chat1"), *answers)
    assert ([call.after for call in calls[3:]], file_id) == ([0.0, 1.0], "d1")


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([reply({"error_type": "auth.token.invalid", "message": "no"}, 401)], Kind.CREDENTIAL_REFUSED),
        ([{**PLACE, "url": "file:///etc/hosts"}], Kind.PROTOCOL),
        ([{**PLACE, "url": STORE.replace("https", "http")}], Kind.PROTOCOL),
        ([{**PLACE, "url": "https://a b\r\n"}], Kind.PROTOCOL),
        ([{**PLACE, "url": "https://store.example.org:99999/"}], Kind.PROTOCOL),
        ([{**PLACE, "url": "https://[::1"}], Kind.PROTOCOL),
        ([{**PLACE, "url": "https:///x"}], Kind.PROTOCOL),
        ([{"object_name": "x"}], Kind.PROTOCOL),
        ([PLACE, reply(b"", 403)], Kind.FAILED),
        ([PLACE, b"", {"id": "d1", "status": "failed"}], Kind.REQUEST_REFUSED),
        ([PLACE, b"", {"status": "parsed"}], Kind.PROTOCOL),
        ([PLACE, b"", *[{"id": "d1", "status": "pending"}] * 30], Kind.TIMED_OUT),
        ([*TAKEN, {"status": "failed"}], Kind.REQUEST_REFUSED),
        ([*TAKEN, reply(b"busy", 503)], Kind.OVERLOADED),
        ([*TAKEN, *[{"status": "parsing"}] * 30], Kind.TIMED_OUT),
    ],
)
def test_each_way_a_file_is_not_taken_is_told(answers: list[object], kind: Kind) -> None:
    _, error = played(files.upload_legacy(CALLER, PAPER, "chat1"), *answers)
    assert error.kind is kind
