"""An answer of the web chat as it is told on, whichever generation it comes in: text without marks, thinking, the
citations, an estimate of what it cost, and its end."""

from collections.abc import Iterator

from moongate.core.errors import GatewayError, Kind
from moongate.core.estimate import told
from moongate.core.events import Cited, Delta, Finished, FinishReason, Metered, Text, Thinking, Usage
from moongate.upstreams.kimi_web.citations import Citations, Marks
from moongate.upstreams.kimi_web.search import Pages


class Telling:
    """`asked_tokens`: an estimate of what the question cost; the site counts nothing."""

    def __init__(self, marks: Marks, asked_tokens: int) -> None:
        self._citations = Citations(marks)
        self._asked_tokens = asked_tokens
        self._said = self._thought = 0
        self.is_finished = False

    @property
    def pages(self) -> Pages:
        return self._citations.pages

    @property
    def has_text(self) -> bool:
        """Something of the answer itself has come."""
        return self._said > 0

    @property
    def has_begun(self) -> bool:
        return self._said + self._thought > 0

    def say(self, text: str) -> Iterator[Text | Cited]:
        self._said += len(text)
        yield from self._citations.feed(text)

    def think(self, text: str) -> Iterator[Thinking]:
        if text:
            self._thought += len(text)
            yield Thinking(text)

    def finish(self, reason: FinishReason) -> Iterator[Delta]:
        """The answer's end; nothing where it has been told."""
        if not self.is_finished:
            self.is_finished = True
            yield from self._citations.end()
            yield Metered(self._usage())
            yield Finished(reason)

    def _usage(self) -> Usage:
        output = told(self._said + self._thought)
        return Usage(input=self._asked_tokens, output=output, thinking=told(self._thought), is_estimate=True)


def nothing(*, was_filtered: bool = False) -> GatewayError:
    """For a reply that ended well and held no answer: seen in hours when many ask."""
    if was_filtered:
        return GatewayError(Kind.CONTENT_REFUSED, "the upstream filtered the answer and told nothing of it")
    return GatewayError(Kind.OVERLOADED, "the upstream answered with nothing")
