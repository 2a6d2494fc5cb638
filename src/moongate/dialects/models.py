"""The list of models, in the shape OpenAI's clients read."""

from collections.abc import Iterable

from moongate.core.route import ListedModel

OWNERS = dict.fromkeys(("moonshot", "kimi-code", "kimi-web", "simulator"), "moonshot-ai")
"""Whose the models are, by upstream; a provider's are its own, and an operator's names are Moongate's."""


def listing(models: Iterable[ListedModel]) -> dict[str, object]:
    return {"object": "list", "data": [entry(model) for model in models]}


def entry(model: ListedModel) -> dict[str, object]:
    """OpenAI's four members, and what else is known in the vendor's own spelling; what is not known is left out."""
    known = {
        "context_length": model.context_length,
        "supports_reasoning": model.reasoning,
        "supports_image_in": model.image_in,
        "supports_video_in": model.video_in,
    }
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": OWNERS.get(model.upstream, model.upstream),
        **{name: value for name, value in known.items() if value is not None},
    }
