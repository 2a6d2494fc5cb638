"""Tells a web page from an upstream's answer: the mark of a proxy, a CDN or a firewall that answered in its place."""

import html
import re

from moongate.wire.http import HttpHead

READ = 16 * 1024
"""Bytes of a page that are looked at; the title of those seen stands in the first thousand."""

SHOWN = 500

_BEGINS = re.compile(rb"\s*(?:<!doctype html|<html|<head|<!--)", re.IGNORECASE)
_SHORT = re.compile(rb"\s*error code: \d{3,4}\s*")
"""What Cloudflare says to clients that did not ask for HTML."""

_TITLE = re.compile(r"<title[^<>]{0,200}>([^<>]{1,300})</title", re.IGNORECASE)
_UNSEEN = re.compile(r"<(style|script)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<[^<>]{1,2000}>")


def is_page(head: HttpHead, body: bytes) -> bool:
    """By what it begins with; what is called HTML and is JSON is an upstream's answer under a wrong name."""
    is_called_so = head.media_type == "text/html" and not body.lstrip().startswith(b"{")
    return is_called_so or _BEGINS.match(body) is not None or _SHORT.fullmatch(body[:100]) is not None


def text_of(body: bytes) -> str:
    """A page's title, or what it shows where it has none."""
    text = body[:READ].decode(errors="replace")
    title = _TITLE.search(text)
    shown = title[1] if title else _MARKUP.sub(" ", _UNSEEN.sub(" ", text))
    return html.unescape(shown).strip()[:SHOWN]
