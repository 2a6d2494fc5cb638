"""What is done about each thing a request asks for and its upstream has not: made up for, left out and announced, or
refused by name. Nothing is ever dropped in silence."""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from moongate.bridges import json_as_text, tools_as_text
from moongate.bridges.history_as_prompt import Fold, Place, is_plain, media, spoken, uncovered
from moongate.bridges.json_as_text import Json
from moongate.bridges.json_schema import Schema
from moongate.bridges.mark import mark
from moongate.bridges.phrases import Phrases, phrases
from moongate.bridges.rewriting import Chain, Rewriter
from moongate.bridges.shortening import shortened
from moongate.bridges.stop_as_cut import Cut, stop_words
from moongate.bridges.tools_as_text import Calls, Required, offered
from moongate.core.abilities import Abilities
from moongate.core.errors import GatewayError, Kind
from moongate.core.prompt import Media, Message, Prompt, Tool, Words
from moongate.core.request import Params

NOT_LEFT_OUT = {
    "audio": "cannot speak",
    "function_call": "knows no functions; tools are told to it in words",
    "functions": "knows no functions; tools are told to it in words",
    "logit_bias": "cannot be told which words to prefer",
    "logprobs": "tells no probabilities",
    "modalities": "answers in text only",
    "top_logprobs": "tells no probabilities",
    "web_search_options": "cannot be told how to search",
}
"""Fields without which the answer would not be the one that was asked for, and why they cannot be followed. All others
tune the answer, and may be left out."""

NAMES_SHOWN, NAME_SHOWN = 12, 64
"""Names of a caller's in a note, and characters of each, so that they crowd out no other note."""


class Bridged(Struct, frozen=True):
    """`prompt`: one message of the user's, its text first and then what is attached. `rewriter`: makes one for each
    reply, None where the reply stays as it is. `notes` say what was made to fit."""

    prompt: Prompt
    rewriter: Callable[[], Rewriter] | None = None
    notes: tuple[str, ...] = ()


def plan(prompt: Prompt, abilities: Abilities, *, covered: int = 0, params: Params = "adapt") -> Bridged:
    """`prompt` for an upstream that takes one text at a time. `covered`: how many of the first messages it knows.

    Raises GatewayError: INVALID_REQUEST for what cannot be made up for, and in mode `strict` for what would be left
    out; CONTEXT_EXCEEDED where not even the last message fits.
    """
    if not prompt.messages:
        raise _refused("messages", "there is none")
    if prompt.choices > 1:
        raise _refused("n", "this upstream gives one answer at a time")
    left_out = tuple(_left_out(prompt, abilities))
    places = uncovered(prompt.messages, covered)
    _check_media(places, abilities)
    tools = offered(prompt)
    stops = stop_words(prompt.stop)
    schema = Schema(prompt.output.schema) if prompt.output.form == "schema" and prompt.output.schema else None
    fold = _fold(prompt, places, tools)
    told = shortened(fold, places, abilities)
    if told.left_out:
        many = f"oldest {_many(told.left_out, 'message')} left out"
        left_out += (("messages", f"{many}: this upstream takes {abilities.length} characters at a time"),)
    if params == "strict" and left_out:
        param, note = left_out[0]
        refusal = f"x-moongate-params: strict, and this would have to be made to fit: {note}"
        raise GatewayError(Kind.INVALID_REQUEST, refusal, param=param)
    message = Message("user", (Words(told.text), *media(told.places)))
    return Bridged(
        Prompt(messages=(message,), thinking=prompt.thinking if abilities.can_think else None),
        _rewriter(prompt, tools, stops, schema, fold.mark),
        (*_made_up(prompt, tools, stops, told.places), *(note for _, note in left_out)),
    )


def _refused(param: str, why: str) -> GatewayError:
    return GatewayError(Kind.INVALID_REQUEST, f"{param}: {why}", param=param)


# What is left out.


def _left_out(prompt: Prompt, abilities: Abilities) -> Iterator[tuple[str, str]]:
    """(field, note). Raises GatewayError (INVALID_REQUEST) for what cannot be."""
    for name in prompt.others:
        if name in NOT_LEFT_OUT:
            raise _refused(name, f"this upstream {NOT_LEFT_OUT[name]}")
    if prompt.others:
        shown = ", ".join(name[:NAME_SHOWN] for name in prompt.others[:NAMES_SHOWN])
        more = f" and {len(prompt.others) - NAMES_SHOWN} more" if len(prompt.others) > NAMES_SHOWN else ""
        setting = "no such setting" if len(prompt.others) == 1 else "no such settings"
        yield prompt.others[0], f"{shown}{more} left out: this upstream has {setting}"
    if prompt.thinking is not None and not abilities.can_think:
        yield "thinking", f"thinking {'on' if prompt.thinking else 'off'} left out: it cannot be switched here"


def _check_media(places: Sequence[Place], abilities: Abilities) -> None:
    for place in places:
        for part in place.message.parts:
            if isinstance(part, Media) and (part.kind not in abilities.media or not part.data):
                raise _refused(f"messages[{place.at}].content", _why_not(part, abilities))


ARTICLES = {"image": "an image", "video": "a video", "audio": "audio", "file": "a file"}


def _why_not(part: Media, abilities: Abilities) -> str:
    if part.kind not in abilities.media:
        return f"{ARTICLES[part.kind]} cannot be sent to this upstream"
    return f"{ARTICLES[part.kind]} can be sent to this upstream by its bytes only, as a data URL, and not by an address"


# What is made up for.


def _fold(prompt: Prompt, places: Sequence[Place], tools: Sequence[Tool]) -> Fold:
    words = phrases(place.message.text for place in places if place.message.role != "tool")
    described = [text for tool in tools for text in (tool.name, tool.description, _text(tool.schema))]
    wanted = _text(prompt.output.schema)
    said = spoken(prompt.messages)
    mark_ = mark([*_beginning(prompt.messages), *described], [*said, *described, wanted, prompt.choice.name])
    return Fold(mark_, words, tuple(_asks(prompt, tools, words, mark_)))


def _text(raw: bytes | memoryview) -> str:
    return bytes(raw).decode("utf-8", "replace")


def _beginning(messages: Sequence[Message]) -> Iterator[str | bytes]:
    """All up to the first message that is not the system's."""
    for message in messages:
        for part in message.parts:
            yield part.text if isinstance(part, Words) else part.data
        if message.role != "system":
            return


def _asks(prompt: Prompt, tools: Sequence[Tool], words: Phrases, mark_: str) -> Iterator[str]:
    if tools:
        yield tools_as_text.told(tools, prompt.choice, words, mark_)
    if wanted := json_as_text.told(prompt.output, words, mark_):
        yield wanted


def _rewriter(
    prompt: Prompt, tools: Sequence[Tool], stops: Sequence[str], schema: Schema | None, mark_: str
) -> Callable[[], Rewriter] | None:
    """Calls are found first: a stop word ends what the model says, not a call in the middle."""
    steps: list[Callable[[], Rewriter]] = []
    if tools:
        names = frozenset(tool.name for tool in tools)
        steps.append(lambda: Calls(mark_, names))
        if prompt.choice.mode in ("required", "tool"):
            steps.append(lambda: Required(prompt.choice.name))
    if stops:
        steps.append(lambda: Cut(stops))
    if prompt.output.form != "text":
        steps.append(lambda: Json(schema))
    return (lambda: Chain([make() for make in steps])) if steps else None


def _made_up(prompt: Prompt, tools: Sequence[Tool], stops: Sequence[str], places: Sequence[Place]) -> Iterator[str]:
    if not is_plain(places):
        yield f"the model takes one message at a time: {_many(len(places), 'message')} told as one"
    if tools:
        were = "was" if len(tools) == 1 else "were"
        yield f"the model has no tools of its own: {_many(len(tools), 'tool')} {were} described in words"
    if prompt.output.form != "text":
        yield "the model has no JSON mode: it was asked in words, and its answer is told only if it is right"
    if stops:
        yield "the model knows no stop words: its answer is cut at them"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
