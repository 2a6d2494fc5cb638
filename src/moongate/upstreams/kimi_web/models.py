"""The names of models callers use, and what a web site is asked for them.

The site changes its models every few months and tells which it has; so a short name means whatever it serves by default
today, and the rest are its own names.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import ListedModel
from moongate.upstreams.kimi_web.answers import Members, each, members, said, word

NAME = "kimi-web"
CONTEXT = 262_144
"""Tokens the site's models read (several independent clients, 2026)."""

Short: TypeAlias = Literal["k2", "k1.5", "kimi"]
SHORT: Mapping[str, Short] = {"k2": "k2", "k1.5": "k1.5", "kimi": "kimi"}

THINKING, NOSEARCH, SEARCH = "-thinking", "-nosearch", "-search"

SAFE_SCENARIO = "SCENARIO_K2D5"
"""What was understood from 2026-02 on, with no model named beside it."""

EFFORT = "REASONING_EFFORT_"
NO_EFFORT = "REASONING_EFFORT_NONE"
EFFORTS = tuple(f"{EFFORT}{name}" for name in ("NONE", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH", "MAX"))
"""From the least to the most."""

NO_K1_5 = "k1.5 is not served by this site any more: its default model answers"


class Wish(Struct, frozen=True):
    """What a model's name asks for. `thinking`: None where the name says nothing of it. `name`: all of it, for a model
    that is called by what would be an ending."""

    base: str
    thinking: bool | None = None
    search: bool = True
    name: str = ""


class Entry(Struct, frozen=True):
    """A model the site has. `id` is empty before 2026-09; `thinks`: the entry is the thinking one of two (2026-05).
    `efforts`: how hard it may be asked to think; empty where it cannot be told. `plus` and `mode` are of models that
    work as agents, `level` the membership that is needed."""

    scenario: str
    id: str = ""
    key: str = ""
    title: str = ""
    plus: str = ""
    mode: str = ""
    thinks: bool = False
    efforts: tuple[str, ...] = ()
    effort: str = ""
    lengths: tuple[str, ...] = ()
    level: str = ""

    @property
    def name(self) -> str:
        return self.id or self.key

    @property
    def can_think(self) -> bool:
        return self.thinks or any(effort != NO_EFFORT for effort in self.efforts)


class Menu(Struct, frozen=True):
    """What a site said it serves, and what it serves to who chooses nothing."""

    entries: tuple[Entry, ...] = ()
    scenario: str = ""
    model: str = ""

    def named(self, name: str) -> Entry | None:
        """By its id, or by its key, which several may share."""
        by_id = (entry for entry in self.entries if entry.id == name)
        return next(by_id, None) or next((entry for entry in self.entries if entry.key == name), None)

    @property
    def default(self) -> Entry:
        chosen = self.named(self.model) if self.model else None
        fitting = (entry for entry in self.entries if entry.scenario == self.scenario and not entry.thinks)
        plain = (entry for entry in self.entries if not entry.plus and not self.scenario)
        found = chosen or next(fitting, None) or next(plain, None)
        return found or Entry(self.scenario or SAFE_SCENARIO)


class Choice(Struct, frozen=True):
    """What the site is asked for. `model_id` is empty where it is not told by id; `note`: what the caller should
    know."""

    scenario: str
    model_id: str = ""
    kimiplus_id: str = ""
    agent_mode: str = ""
    efforts: tuple[str, ...] = ()
    default_effort: str = ""
    note: str = ""

    def effort(self, thinking: bool) -> str:
        """How hard it is to think; empty where that cannot be told. Some cannot but think (K3, 2026): then as little as
        they can."""
        if not self.efforts:
            return ""
        if not thinking:
            return min(self.efforts, key=_rank)
        if self.default_effort in self.efforts and self.default_effort != NO_EFFORT:
            return self.default_effort
        return min((effort for effort in self.efforts if effort != NO_EFFORT), key=_rank, default=NO_EFFORT)


def _rank(effort: str) -> int:
    """One that is new is taken to be more than those known."""
    return EFFORTS.index(effort) if effort in EFFORTS else len(EFFORTS)


def wish(name: str) -> Wish:
    """`k2-thinking-nosearch` and the like, endings in any order. The last that speaks of search counts."""
    thinking: bool | None = None
    search: bool | None = None
    base = name
    while True:
        if base.endswith(NOSEARCH):
            base, search = base.removesuffix(NOSEARCH), False if search is None else search
        elif base.endswith(SEARCH):
            base, search = base.removesuffix(SEARCH), True if search is None else search
        elif base.endswith(THINKING):
            base, thinking = base.removesuffix(THINKING), True
        else:
            return Wish(base, thinking, search is not False, name)


def _variants(name: str, *, can_think: bool) -> Iterator[str]:
    for thinking in ("", THINKING) if can_think else ("",):
        for search in ("", NOSEARCH):
            yield f"{name}{thinking}{search}"


def _listed(name: str, reasoning: bool) -> ListedModel:
    return ListedModel(name, NAME, context_length=CONTEXT, reasoning=reasoning, image_in=True)


KNOWN: tuple[ListedModel, ...] = tuple(
    _listed(name, reasoning=True) for short in SHORT for name in _variants(short, can_think=True)
)
"""Names that any site understands, whatever it serves."""


def read_menu(body: bytes) -> Menu:
    """Of GetAvailableModels, in the shape of 2026-05 or of 2026-09; what cannot be read is left out."""
    told = said(body)
    entries = tuple(entry for item in each(told.get("availableModels")) if (entry := _entry(item)) is not None)
    default = members(told.get("defaultScenario"))
    return Menu(entries, word(default, "scenario"), word(default, "model"))


def _entry(item: Members) -> Entry | None:
    entry = Entry(
        scenario=word(item, "scenario"),
        id=word(item, "id"),
        key=word(item, "key"),
        title=word(item, "displayName"),
        plus=word(item, "kimiPlusId"),
        mode=word(item, "agentMode"),
        thinks=item.get("thinking") is True,
        efforts=_options(item, "reasoningEffortOptions", "effort"),
        effort=word(item, "defaultReasoningEffort"),
        lengths=_options(item, "contextLengthOptions", "contextLength"),
        level=word(item, "minMembershipLevel"),
    )
    return entry if entry.scenario and entry.name else None


def _options(item: Members, name: str, member: str) -> tuple[str, ...]:
    return tuple(value for option in each(item.get(name)) if (value := word(option, member)))


def listed(menu: Menu | None) -> tuple[ListedModel, ...]:
    """The names any site understands, then those this one reported, each once."""
    found = {model.id: model for model in KNOWN}
    for entry in menu.entries if menu else ():
        for name in _variants(entry.name, can_think=bool(entry.efforts) and entry.can_think):
            found.setdefault(name, _listed(name, reasoning=entry.can_think))
    return tuple(found.values())


def chosen(menu: Menu | None, wish: Wish) -> Choice:
    """Raises GatewayError (MODEL_NOT_SERVED)."""
    if wish.base in SHORT:
        note = NO_K1_5 if SHORT[wish.base] == "k1.5" else ""
        return _choice(menu.default if menu else Entry(SAFE_SCENARIO), note)
    entry = _named(menu, wish) if menu else None
    if entry is None:
        raise _not_served(wish.base)
    return _choice(entry)


def _named(menu: Menu, wish: Wish) -> Entry | None:
    """One that is called `…-thinking` by the site itself (2026-05) comes before the other told to think."""
    own = menu.named(f"{wish.base}{THINKING}") if wish.thinking else None
    return own or menu.named(wish.base) or menu.named(wish.name)


def _choice(entry: Entry, note: str = "") -> Choice:
    return Choice(entry.scenario, entry.id, entry.plus, entry.mode, entry.efforts, entry.effort, note)


def legacy(wish: Wish, *, thinking: bool) -> str:
    """What the older generation calls it, where thinking was a model of its own. Raises GatewayError
    (MODEL_NOT_SERVED)."""
    if wish.base not in SHORT:
        raise _not_served(wish.base)
    return "k1.5" if thinking else SHORT[wish.base]


def _not_served(name: str) -> GatewayError:
    return GatewayError(Kind.MODEL_NOT_SERVED, f"the site has no model {name!r}; it understands {', '.join(SHORT)}")
