"""How one turn of a web chat is to be answered, as a frozen value that also travels as JSON."""

from typing import Final, Literal

import msgspec

from moongate.simulator.script import BadScriptError, Count, Seconds, Size
from moongate.simulator.values import loads
from moongate.simulator.web.refusals import ROWS, WebRefusal

RefuseWhen = Literal[
    "http", "body", "trailer before text", "trailer mid-text", "trailer after done", "exception mid-text"
]
SearchForm = Literal["web_pages", "search_chunks", "tool", "references", "search_plus", "k1", "ref_docs"]
Markers = Literal["private_use", "separators", "quote", "caret", "tagged", "none"]

DIRECTIVE: Final = "simulate-web:"


class SearchResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page that was found."""

    title: str
    url: str
    site_name: str = ""
    snippet: str = ""
    date: str = ""


class WebScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one turn is answered; `WebScript()` is the default answer without faults.

    What is given is said whether or not it was asked for, unless `only_if_asked`; without a `text` the default speech
    is. In `text`, `[[1]]` or `[[1,3]]` stands for the marker that refers to results by their place in `search`; a text
    without any gets one for each result at its end. What only one generation can say is left out by the other.

    Counts of faults count what is told: frames of Connect, events of the older generation. A count beyond the end has
    no effect. After a stall, a cut or a close the reply still lands in the chat, as if only the line had failed.
    """

    text: str | None = None
    thinking: str | None = None
    only_if_asked: bool = False
    title: str | None = None  # None: a default one, for new chats only; "": none
    title_first: bool = False  # before the text instead of after it
    search: tuple[SearchResult, ...] = ()
    queries: tuple[str, ...] = ("simulated query",)
    search_form: SearchForm | None = None  # None: the newest form of the generation
    markers: Markers | None = None  # None: caret before Connect and with web_pages, as was seen, else private_use

    piece: Size = 12  # characters a delta
    replace: bool = False  # every delta is a `set` of all that was said so far
    whole_text_first: bool = False  # the first frame of the text has all of it
    empty_set_first: bool = False  # the text begins with a `set` of nothing
    text_blocks: Size = 1  # the text is spread over so many blocks
    thinking_form: Literal["think", "flags", "k1"] | None = None  # None: think for Connect, k1 before
    chat_form: Literal["last_request", "plain"] = "last_request"  # how a chat tells of itself
    heartbeats: bool = True
    zero_frames: bool = False  # a frame of length zero before each frame
    unknown_blocks: bool = False  # blocks and events nobody knows, before the text
    degrade: bool = False  # the notification that another model answers
    length: bool = False  # the answer stops at the longest allowed; only the older generation says so

    refuse: str | WebRefusal | None = None
    refuse_when: RefuseWhen | None = None  # None: over HTTP for a bad token or a plain row, else before the text
    empty: bool = False  # nothing is said, and the end is a clean one
    omit_status: bool = False
    omit_done: bool = False
    omit_trailer: bool = False
    omit_all_done: bool = False
    silent_before_headers: Seconds = 0.0
    drop_before_headers: bool = False
    pause: Seconds = 0.0  # between frames
    stall_after: Count | None = None  # then silence until the client goes
    cut_after: Count | None = None  # then the connection is aborted
    close_after: Count | None = None  # then the HTTP body ends cleanly
    split: Size | None = None  # at most this many bytes a TCP write, HTTP framing included

    def __post_init__(self) -> None:
        if isinstance(self.refuse, str) and self.refuse not in ROWS:
            raise ValueError(f"refuse: no such row {self.refuse!r}; there are {', '.join(ROWS)}")

    def marked(self, *, is_older: bool) -> Markers:
        if self.markers is not None:
            return self.markers
        return "caret" if is_older or self.search_form == "web_pages" else "private_use"

    def refusal(self) -> WebRefusal | None:
        return ROWS[self.refuse] if isinstance(self.refuse, str) else self.refuse

    def refused_when(self) -> RefuseWhen:
        """Where the refusal is told, if there is one."""
        refusal = self.refusal()
        if refusal is not None and (refusal.is_plain or refusal.page):
            return "http"
        if self.refuse_when is None:
            return "http" if refusal is not None and refusal.code == "unauthenticated" else "trailer before text"
        return self.refuse_when


DEFAULT: Final = WebScript()


def read(value: object) -> WebScript:
    """A script from plain JSON values. Raises BadScriptError."""
    try:
        return msgspec.convert(value, WebScript)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadScriptError(str(error)) from None


def directive(prompt: str) -> WebScript | None:
    """What the last line `simulate-web: {...}` of a prompt asks for. Raises BadScriptError."""
    for line in reversed(prompt.split("\n")):
        if line.lstrip().startswith(DIRECTIVE):
            return _decoded(line.lstrip().removeprefix(DIRECTIVE))
    return None


def _decoded(text: str) -> WebScript:
    try:
        value = loads(text)
    except ValueError as error:
        raise BadScriptError(f"not JSON: {error}") from None
    return read(value)


class WebQueue:
    """Scripts waiting for the turns they will answer, in order, and those that stand; each for one user or any."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str | None, WebScript]] = []
        self._standing: list[tuple[str | None, WebScript]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, script: WebScript, user: str | None) -> None:
        self._waiting.append((user, script))

    def stand(self, script: WebScript, user: str | None) -> tuple[str | None, WebScript]:
        rule = (user, script)
        self._standing.append(rule)
        return rule

    def end(self, rule: tuple[str | None, WebScript]) -> None:
        """It may have been cleared before."""
        self._standing = [standing for standing in self._standing if standing is not rule]

    def take(self, user: str) -> WebScript:
        for number, (wanted, script) in enumerate(self._waiting):
            if wanted in (None, user):
                del self._waiting[number]
                return script
        return next((script for wanted, script in self._standing if wanted in (None, user)), DEFAULT)

    def clear(self) -> None:
        self._waiting.clear()
        self._standing.clear()
