"""What a chat request asks for, read leniently: a view on the body, not a judgement (that is the police's)."""

from typing import Final, Literal

import msgspec

from moongate.simulator.models import Model, Product
from moongate.simulator.values import JsonObject, as_object, as_objects, as_text, content_text

_DYNAMIC_TOOLS_ROLE: Final = "system"


class Asked(msgspec.Struct, frozen=True):
    """One chat request to a model that exists."""

    product: Product
    model: Model
    body: JsonObject

    @property
    def messages(self) -> list[JsonObject]:
        return as_objects(self.body.get("messages"))

    @property
    def thinking(self) -> bool:
        """Every model thinks unless told not to, and some even then."""
        told_not_to = as_object(self.body.get("thinking")).get("type") == "disabled"
        return not (told_not_to and self.model.may_not_think)

    @property
    def stream(self) -> bool:
        return self.body.get("stream") is True

    @property
    def include_usage(self) -> bool:
        return as_object(self.body.get("stream_options")).get("include_usage") is True

    @property
    def choices(self) -> int:
        n = self.body.get("n")
        return n if isinstance(n, int) and n > 0 else 1

    @property
    def output_limit(self) -> int:
        """Tokens that the answer may have, 0 where the request does not say; the newer name wins."""
        limits = (self.body.get("max_completion_tokens"), self.body.get("max_tokens"))
        return next((limit for limit in limits if isinstance(limit, int) and limit > 0), 0)

    @property
    def declared_tools(self) -> list[JsonObject]:
        return as_objects(self.body.get("tools"))

    @property
    def tools(self) -> list[JsonObject]:
        """Those of the request and those that K3 lets a system message without content add."""
        added = (as_objects(item.get("tools")) for item in self.messages if item.get("role") == _DYNAMIC_TOOLS_ROLE)
        return [*self.declared_tools, *(tool for tools in added for tool in tools)]

    @property
    def tool_choice(self) -> Literal["auto", "none", "required", "specified"]:
        choice = self.body.get("tool_choice")
        if isinstance(choice, dict):
            return "specified"
        return choice if choice in ("none", "required") else "auto"

    @property
    def last_user_text(self) -> str:
        users = [message for message in self.messages if message.get("role") == "user"]
        return content_text(users[-1].get("content")) if users else ""

    @property
    def images(self) -> int:
        return sum(part.get("type") == "image_url" for part in self.parts)

    @property
    def parts(self) -> list[JsonObject]:
        """The content parts of all messages, in order."""
        return [part for message in self.messages for part in as_objects(message.get("content"))]


def tool_name(tool: JsonObject) -> str:
    return as_text(as_object(tool.get("function")).get("name"))


def media_url(part: JsonObject, kind: str) -> str:
    """`{"image_url": {"url": …}}` and `{"image_url": …}` are both taken."""
    value = part.get(kind)
    return as_text(value if isinstance(value, str) else as_object(value).get("url"))
