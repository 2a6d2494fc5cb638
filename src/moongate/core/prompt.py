"""A request as a model understands it, however it was spelled: for upstreams that do not speak the caller's dialect.

Read only when it is needed: where the upstream speaks the caller's dialect, the caller's bytes go there instead.
"""

from typing import Literal, TypeAlias

from msgspec import Raw, Struct

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
MediaKind: TypeAlias = Literal["image", "video", "audio", "file", "other"]


class Words(Struct, frozen=True):
    text: str


class Media(Struct, frozen=True):
    """Something that is no text. Either `data`, with its `media_type` as `image/png`, or the `url` where it lies.
    `name`: of a file, empty where none was given. `other` is what nobody here knows: its `data` as it came, under the
    name it gave itself."""

    kind: MediaKind
    data: bytes = b""
    media_type: str = ""
    url: str = ""
    name: str = ""


Part: TypeAlias = Words | Media


class Call(Struct, frozen=True):
    """A tool that was called. `arguments` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str


class Message(Struct, frozen=True):
    """`thinking` and `calls` are an assistant's; `answers` is the id of the call a tool's message answers; `name` is
    whatever the speaker was called."""

    role: Role
    parts: tuple[Part, ...] = ()
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    answers: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Words))


class Tool(Struct, frozen=True):
    """A function the caller offers. `schema`: of its parameters, JSON as it came; empty where none was given."""

    name: str
    description: str = ""
    schema: Raw = Raw()


class Choice(Struct, frozen=True):
    """Which tool is to be called. `name`: with `tool`, that one."""

    mode: Literal["auto", "none", "required", "tool"] = "auto"
    name: str = ""


class Output(Struct, frozen=True):
    """What the answer is to be: text, any JSON object, or JSON that fits `schema` (as it came)."""

    form: Literal["text", "json", "schema"] = "text"
    schema: Raw = Raw()


class Prompt(Struct, frozen=True, kw_only=True):
    """`thinking`: whether the model is to think, None where nothing was said. `stop`: where the answer is to end.
    `others`: names of fields that tell more than can be told here, such as `temperature`, as the caller spells them."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    choice: Choice = Choice()
    output: Output = Output()
    thinking: bool | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1
    others: tuple[str, ...] = ()
