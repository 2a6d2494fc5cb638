"""One way to serve a model name: which upstream, under which name there."""

from msgspec import Struct


class Route(Struct, frozen=True):
    """`upstream` is its name, or a provider's. `thinking`: True where the name the caller used means "with thinking".
    `note`: what the caller should know. `account`: the only one that is to serve, empty for any."""

    upstream: str
    model: str
    thinking: bool = False
    note: str = ""
    account: str = ""

    def __str__(self) -> str:
        return f"{self.upstream}/{self.model}"


class ListedModel(Struct, frozen=True):
    """A model as a list shows it. `context_length` is in tokens, None where unknown; so are the abilities."""

    id: str
    upstream: str
    created: int = 0
    context_length: int | None = None
    reasoning: bool | None = None
    image_in: bool | None = None
    video_in: bool | None = None
