"""A form with one file, as other readers of such forms understand it."""

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.wire.multipart import Form, form


def read(written: Form) -> EmailMessage:
    """By the standard library, which knows such forms as mail."""
    head = f"Content-Type: {written.content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + written.body)
    (part,) = message.iter_parts()
    assert isinstance(part, EmailMessage)
    return part


def split(written: Form) -> tuple[bytes, bytes]:
    """The head and the data, by the boundary alone."""
    boundary = written.content_type.partition("boundary=")[2].encode()
    empty, section, end = (b"\r\n" + written.body).split(b"\r\n--" + boundary)
    assert (empty, end) == (b"", b"--\r\n")
    head, _, data = section.partition(b"\r\n\r\n")
    return head, data


def test_a_form_is_what_others_read() -> None:
    part = read(form("file", "report.pdf", "application/pdf", b"%PDF-1.7 example"))
    assert part.get_param("name", header="content-disposition") == "file"
    assert part.get_filename() == "report.pdf"
    assert part.get_content_type() == "application/pdf"
    assert part.get_payload(decode=True) == b"%PDF-1.7 example"


@given(st.binary(max_size=400))
def test_any_data_arrives_as_it_is(data: bytes) -> None:
    assert split(form("file", "a.bin", "application/octet-stream", data))[1] == data


def test_data_that_holds_the_boundary_of_a_form_gets_another() -> None:
    once = form("file", "a", "text/plain", b"x")
    held = once.body  # a form in a form
    boundary = once.content_type.partition("boundary=")[2]
    assert split(form("file", "a", "text/plain", held))[1] == held
    assert boundary.encode() in held


def test_the_same_form_is_the_same_bytes() -> None:
    assert form("file", "a", "text/plain", b"x") == form("file", "a", "text/plain", b"x")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("报告.pdf", "报告.pdf"),
        ('a"; name="b', "a%22; name=%22b"),
        ("a\r\nX-Evil: 1", "a%0D%0AX-Evil: 1"),
        ("a\x00b\x7f", "a%00b%7F"),
        ("dir\\a.txt", "dir%5Ca.txt"),
        ("lone \ud800", "lone ?"),
    ],
)
def test_a_name_cannot_leave_its_quotes(name: str, written: str) -> None:
    head, _ = split(form("file", name, "text/plain", b"x"))
    lines = head.decode().strip().split("\r\n")
    assert lines == [
        f'Content-Disposition: form-data; name="file"; filename="{written}"',
        "Content-Type: text/plain",
    ]


@pytest.mark.parametrize("odd", ["", "text", "text/plain\r\nX-Evil: 1", "text/plain; charset=x", "té/xt"])
def test_a_media_type_that_is_none_becomes_the_general_one(odd: str) -> None:
    assert b"Content-Type: application/octet-stream" in split(form("file", "a", odd, b"x"))[0]
