"""Conversations and their items, as OpenAI's conversations API tells them: objects of it, made of messages."""

from collections.abc import Iterator, Sequence

from moongate.core.prompt import Media, Message, Part, Words

Json = dict[str, object]


def conversation(id: str, created_at: float) -> Json:
    return {"id": id, "object": "conversation", "created_at": int(created_at), "metadata": {}}


def deleted(id: str) -> Json:
    return {"id": id, "object": "conversation.deleted", "deleted": True}


def page(items: Sequence[Json], *, has_more: bool) -> Json:
    return {
        "object": "list",
        "data": list(items),
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": has_more,
    }


def items(messages: Sequence[Message]) -> list[Json]:
    """The oldest first. Their ids name their places, and so stay what they are as a conversation goes on."""
    return [item for place, message in enumerate(messages) for item in _items(place, message)]


def _items(place: int, message: Message) -> Iterator[Json]:
    match message.role:
        case "tool":
            yield {
                **_head("fco", place, "function_call_output"),
                "call_id": message.answers,
                "output": message.text,
            }
        case "assistant":
            yield from _answered(place, message)
        case "system" | "user":
            content = [_given(part) for part in message.parts]
            yield {**_head("msg", place, "message"), "role": message.role, "content": content}


def _answered(place: int, message: Message) -> Iterator[Json]:
    if message.thinking:
        thought = {"type": "reasoning_text", "text": message.thinking}
        yield {**_head("rs", place, "reasoning"), "summary": [], "content": [thought]}
    if message.parts or not message.calls:
        said = {"type": "output_text", "text": message.text, "annotations": []}
        yield {**_head("msg", place, "message"), "role": "assistant", "content": [said]}
    for number, call in enumerate(message.calls):
        head = _head(f"fc{number}", place, "function_call")
        yield {**head, "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _given(part: Part) -> Json:
    match part:
        case Words(text):
            return {"type": "input_text", "text": text}
        case Media(kind="image", url=url):
            return {"type": "input_image", "image_url": url or None, "file_id": None, "detail": "auto"}
        case Media(name=name):
            return {"type": "input_file", "filename": name or None, "file_id": None}


def _head(kind: str, place: int, type: str) -> Json:
    return {"id": f"{kind}_{place:06}", "type": type, "status": "completed"}
