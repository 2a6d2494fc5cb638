"""Files of the simulated web site: uploads of both generations, and what a turn may bring."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.simulator.web.files import read_multipart

FILE_SERVICE = "/apiv2-files/kimi.gateway.file.v1.FileService"
DATA = bytes(range(256)) + b"\r\n--edge\r\n\r\n"


def form(name, data, media_type="application/pdf", field="file", boundary="edge-of-it"):
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
    return f"{head}Content-Type: {media_type}\r\n\r\n".encode() + data + f"\r\n--{boundary}--\r\n".encode()


async def upload(ada, name, data=DATA, media_type="application/pdf", field="file"):
    kind = "multipart/form-data; boundary=edge-of-it"
    body = form(name, data, media_type, field)
    return await ada.send("POST", "/apiv2-files/file/upload", body, Content_Type=kind)


def with_file(ada, file):
    body = ada.request("look")
    body["message"]["blocks"].append({"file": {"id": file, "status": "PROCESS_STATUS_SUCCESS"}})
    return body


async def progress(ada, file):
    got = await ada.call("GetFileParseProgress", {"file_ids": [file]}, FILE_SERVICE)
    return got.json["progresses"][0]["status"]


async def test_a_document_is_read_for_a_while_before_it_can_be_used(ada, sim):
    told = (await upload(ada, "Bericht ü.pdf")).json["file"]
    assert told["meta"]["sizeBytes"] == str(len(DATA))
    assert told["meta"]["name"] == "Bericht ü.pdf"
    assert "parseResult" not in told
    refused = await ada.framed(with_file(ada, told["id"]))
    assert refused.trailer["error"]["code"] == "invalid_argument"
    assert await progress(ada, told["id"]) == "PROCESS_STATUS_PROCESSING"
    assert await progress(ada, told["id"]) == "PROCESS_STATUS_SUCCESS"
    assert (await ada.framed(with_file(ada, told["id"]))).trailer == {}
    seen = sim.web.log[-1].files[0]
    assert (seen.id, seen.name, seen.size) == (told["id"], "Bericht ü.pdf", len(DATA))
    assert seen.digest == hashlib.sha256(DATA).hexdigest()


async def test_an_image_can_be_used_at_once(ada):
    told = (await upload(ada, "a.png", media_type="image/png")).json["file"]
    assert told["meta"]["type"] == "FILE_TYPE_IMAGE"
    assert told["parseResult"]["thumbnail"]["previewUrl"]
    got = await ada.framed(with_file(ada, told["id"]))
    assert "Files / 文件: 1." in got.text


async def test_files_of_others_are_unknown(ada, ben):
    file = (await upload(ada, "a.png", media_type="image/png")).json["file"]["id"]
    assert (await ben.framed(with_file(ben, file))).trailer["error"]["code"] == "invalid_argument"
    assert (await ben.call("GetFileParseProgress", {"file_ids": [file]}, FILE_SERVICE)).status == 404


async def test_a_file_can_be_unreadable(ada, sim):
    sim.web.knobs.unreadable_files = 1
    file = (await upload(ada, "a.pdf")).json["file"]["id"]
    assert await progress(ada, file) == "PROCESS_STATUS_FAILED"
    assert (await ada.framed(with_file(ada, file))).trailer["error"]["code"] == "invalid_argument"
    second = (await upload(ada, "b.pdf")).json["file"]["id"]
    assert await progress(ada, second) == "PROCESS_STATUS_PROCESSING"


@pytest.mark.parametrize("body", [b"", b"no form", form("a.pdf", b"x", field="other"), form("a.pdf", b"x")[:-6]])
async def test_an_upload_that_is_no_form_is_refused(ada, body):
    kind = "multipart/form-data; boundary=edge-of-it"
    got = await ada.send("POST", "/apiv2-files/file/upload", body, Content_Type=kind)
    assert (got.status, got.json["code"]) == (400, "invalid_argument")


async def test_an_upload_needs_a_token(ada):
    got = await ada.send("POST", "/apiv2-files/file/upload", b"", Authorization="")
    assert got.status == 401


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data", 'multipart/form-data; boundary="'])
def test_a_form_needs_a_boundary(kind):
    assert read_multipart(kind, form("a", b"x")) is None


@given(st.binary(max_size=200), st.text(max_size=40), st.booleans())
def test_no_form_breaks_the_reader(data, kind, is_whole):
    body = form("a.pdf", data) if is_whole else b"--edge-of-it\r\n" + data + b"\r\n--edge-of-it--"
    assert read_multipart(kind, body) is None or "multipart" in kind
    parts = read_multipart("multipart/form-data; boundary=edge-of-it", body)
    assert parts is None or all(part.data in body for part in parts)


@given(st.binary(max_size=200).filter(lambda data: b"edge" not in data))
def test_a_file_is_read_as_it_was_sent(data):
    [part] = read_multipart("multipart/form-data; boundary=edge-of-it", form("a.pdf", data))
    assert (part.data, part.name, part.media_type) == (data, "a.pdf", "application/pdf")


def test_a_file_name_can_be_quoted_and_encoded():
    for name, told in (('a\\"b', 'a"b'), ("ü", "ü")):
        parts = read_multipart("multipart/form-data; boundary=edge-of-it", form(name, b"x"))
        assert [part.name for part in parts] == [told]
    encoded = form("x\"; filename*=UTF-8''%C3%BC.pdf; n=\"", b"x")
    assert len(read_multipart("multipart/form-data; boundary=edge-of-it", encoded)) == 1


async def put_formerly(ada, name, action, data=DATA):
    place = (await ada.send("POST", "/api/pre-sign-url", {"action": action, "name": name})).json
    path = place["url"].removeprefix(ada.sim.url)
    put = await ada.send("PUT", path, data, Content_Type="application/pdf", Authorization="")
    assert put.status == 200
    return place


async def test_a_document_of_the_older_generation_is_put_told_and_parsed(ada, sim):
    chat = await ada.new()
    place = await put_formerly(ada, "a.pdf", "file")
    body = {"type": "file", "name": "a.pdf", "object_name": place["object_name"], "file_id": "", "chat_id": chat}
    told = (await ada.send("POST", "/api/file", body)).json
    assert (told["name"], told["size"], told["status"]) == ("a.pdf", len(DATA), "initialized")
    assert (await ada.send("POST", "/api/file", body)).json["id"] == told["id"]
    assert (await ada.say("look", chat=chat, refs=[told["id"]])).status == 400
    parsed = await ada.send("POST", "/api/file/parse_process", {"ids": [told["id"]], "timeout": 120000})
    assert parsed.json["items"] == [{"id": told["id"], "status": "parsed"}]
    got = await ada.say("look", chat=chat, refs=[told["id"]])
    assert got.events[0]["refs"] == [told["id"]]
    assert sim.web.log[-1].files[0].digest == hashlib.sha256(DATA).hexdigest()


async def test_an_image_of_the_older_generation_can_be_used_at_once(ada):
    place = await put_formerly(ada, "a.png", "image")
    body = {"type": "image", "file_id": place["file_id"], "name": "a.png"}
    assert (await ada.send("POST", "/api/file", body)).json["status"] == "parsed"
    assert (await ada.say("look", refs=[place["file_id"]])).names[-1] == "all_done"


async def test_what_was_never_put_cannot_be_told_of(ada, ben):
    place = (await ada.send("POST", "/api/pre-sign-url", {"action": "file", "name": "a.pdf"})).json
    body = {"type": "file", "name": "a.pdf", "object_name": place["object_name"]}
    assert (await ada.send("POST", "/api/file", body)).json["error_type"] == "resource.not_found"
    assert (await ada.send("PUT", "/simulated-uploads/unknown", b"x")).status == 404
    filled = await put_formerly(ada, "b.pdf", "file")
    theirs = {"type": "file", "name": "b.pdf", "object_name": filled["object_name"]}
    assert (await ben.send("POST", "/api/file", theirs)).status == 404


@pytest.mark.parametrize("body", [{}, {"action": "file"}, {"name": "a", "action": "delete"}, []])
async def test_a_place_needs_a_name_and_an_action(ada, body):
    assert (await ada.send("POST", "/api/pre-sign-url", body)).status == 400
