"""What the documents say is so: errors, file names, links, commands, and the same in both languages."""

import math
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from moongate.core.errors import Kind
from moongate.dialects.openai_chat.server import ERRORS
from moongate.pool.health import CONSEQUENCES, Consequence
from moongate.settings.changes import FIXED
from moongate.upstreams.refusals import STATUS_HANDED_BACK

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "moongate"
PLACES = (SOURCE, ROOT / "tests", ROOT)

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
SCRIPTS = sorted([*ROOT.glob(".github/workflows/*.yml"), ROOT / ".ci" / "run"])

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)

FENCE = re.compile(r"^```[^\n]*\n.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#{1,6}) +(.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MODULE = re.compile(r"(?<![\w/.*-])[\w*/.-]+\.py\b")
MAKE = re.compile(r"\bmake(?: [A-Z_]+=\S+)* ([a-z][\w-]*)")
TARGET = re.compile(r"^([a-z][\w-]*):", re.MULTILINE)


def read(name: str) -> str:
    return ROOT.joinpath(name).read_text("utf-8")


def blocks(text: str) -> list[str]:
    return FENCE.findall(text)


def headings(text: str) -> list[tuple[str, str]]:
    return HEADING.findall(FENCE.sub("", text))


# Settings.


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("docs/accounts.md", r"\*\*Wait for a restart\*\*: ([^.]*)\."),
        (".env.example", r"but for (.*?), which wait"),
        ("moongate.example.toml", r"but for (.*?), which wait"),
    ],
)
def test_the_settings_that_wait_for_a_restart_are_named(name: str, line: str) -> None:
    (told,) = re.findall(line, read(name), re.DOTALL)
    names = (setting.name if name.startswith((".", "docs")) else setting.name.lower() for setting, _ in FIXED)
    assert re.findall(r"[A-Za-z]+_\w+", told) == [*names]


# Errors.


def told_kinds(text: str) -> dict[str, tuple[str, ...]]:
    """Status, type, code, origin and retry of each kind, as the tables tell them."""
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    kinds = [row for row in rows if len(row) == 8 and row[0].isupper()]
    assert len({row[0] for row in kinds}) == len(kinds), "a kind is told twice"
    assert all(row[6] for row in kinds), "a kind has no meaning"
    return {row[0]: tuple(row[1:6]) for row in kinds}


def true_kinds() -> dict[str, tuple[str, ...]]:
    def told(kind: Kind) -> tuple[str, ...]:
        word, code = ERRORS[kind]
        return (f"{kind.status}{'*' * (kind in STATUS_HANDED_BACK)}", word, code or "null", kind.origin, kind.retry)

    return {kind.name: told(kind) for kind in Kind}


def test_errors_are_told_with_their_status_type_code_origin_and_retry() -> None:
    assert told_kinds(read("docs/errors.md")) == true_kinds()


def test_the_log_calls_a_kind_as_the_documents_say() -> None:
    assert [kind.code for kind in Kind] == [kind.name.lower() for kind in Kind]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("| `TIMED_OUT` |", "| `TIMED_IN` |"),
        ("| `RATE_LIMITED` | 429 |", "| `RATE_LIMITED` | 420 |"),
        ("| `proxy_error` |", "| `upstream_error` |"),
        ("| `no_account` | gateway |", "| `no_account` | upstream |"),
        ("| `CLIENT_BARRED` | 403* |", "| `CLIENT_BARRED` | 403 |"),
        ("| upstream | same | no connection", "| upstream | never | no connection"),
    ],
)
def test_a_mistake_in_the_table_of_errors_would_be_seen(right: str, wrong: str) -> None:
    text = read("docs/errors.md")
    assert text.count(right) == 1
    assert told_kinds(text.replace(right, wrong)) != true_kinds()


# Accounts.


def told_consequences(text: str) -> list[tuple[str, ...]]:
    """The rows of the table of what follows for an account, as they stand."""
    rows = [tuple(cell.strip(" `") for cell in line.split("|")[1:-1]) for line in text.splitlines()]
    return [row for row in rows if len(row) == 7 and row[0].isupper()]


def true_consequences() -> list[tuple[str, ...]]:
    def told(kind: Kind, consequence: Consequence) -> tuple[str, ...]:
        times = (consequence.first, consequence.longest)
        first, longest = ("no end" if time == math.inf else f"{time:g} s" for time in times)
        waits, blamed = ("yes" if holds else "no" for holds in (consequence.may_wait, consequence.is_blame))
        return kind.name, consequence.scope, str(consequence.strikes), first, longest, waits, blamed

    return [told(kind, consequence) for kind, consequence in CONSEQUENCES.items()]


def test_what_follows_for_an_account_is_told_with_its_scope_and_times() -> None:
    assert told_consequences(read("docs/accounts.md")) == true_consequences()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("| `UNREACHABLE` | account |", "| `UNREACHABLE` | model |"),
        ("| `TIMED_OUT` | model | 2 | 5 s | 60 s |", "| `TIMED_OUT` | model | 2 | 5 s | 61 s |"),
        ("| `LOGIN_EXPIRED` | account | 1 | no end |", "| `LOGIN_EXPIRED` | account | 1 | 30 s |"),
        ("| `FAILED` | model | 3 | 1 s | 30 s | yes | yes |", "| `FAILED` | model | 3 | 1 s | 30 s | yes | no |"),
        ("| `MISDIRECTED` | account | 1 | 30 s | 120 s | no | yes |\n", ""),
    ],
)
def test_a_mistake_in_the_table_of_consequences_would_be_seen(right: str, wrong: str) -> None:
    text = read("docs/accounts.md")
    assert text.count(right) == 1
    assert told_consequences(text.replace(right, wrong)) != true_consequences()


# Files, links and commands.


def missing_modules(text: str) -> list[str]:
    """Names of Python files that are not there. One without a folder may be anywhere in the package."""
    return [name for name in MODULE.findall(text) if not any(_named(name))]


def _named(name: str) -> Iterator[Path]:
    yield from chain.from_iterable(place.glob(name) for place in PLACES)
    if "/" not in name:
        yield from SOURCE.rglob(name)


def broken_links(document: Path, text: str) -> list[str]:
    """Relative links to a file that is not there, or to a heading it does not have."""
    links = [link for link in LINK.findall(FENCE.sub("", text)) if not re.match(r"[a-z]+:", link)]
    return [link for link in links if not _leads_somewhere(document, link)]


def _leads_somewhere(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    if not target.exists():
        return False
    return not anchor or anchor in {_slug(title) for _, title in headings(target.read_text("utf-8"))}


def _slug(title: str) -> str:
    """A heading's anchor, as repository hosts make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def unknown_targets(text: str) -> list[str]:
    """What make is asked for and the Makefile does not have. Only commands count, as prose makes many things."""
    commands = [*blocks(text), *re.findall(r"`[^`\n]+`", FENCE.sub("", text))]
    return [target for command in commands for target in MAKE.findall(command) if target not in _targets()]


def _targets() -> set[str]:
    return set(TARGET.findall(read("Makefile")))


@each_document
def test_python_files_that_are_named_exist(document: Path) -> None:
    assert missing_modules(document.read_text("utf-8")) == []


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document, document.read_text("utf-8")) == []


@each_document
def test_what_make_is_asked_for_is_in_the_makefile(document: Path) -> None:
    assert unknown_targets(document.read_text("utf-8")) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_scripts_ask_make_for_is_in_the_makefile(script: Path) -> None:
    asked = MAKE.findall(script.read_text("utf-8"))
    assert asked
    assert set(asked) <= _targets()


def test_mistakes_in_names_links_and_commands_would_be_seen() -> None:
    readme = ROOT / "README.md"
    text = """
`http/nowhere.py` `gateway.py` `http/gateway.py` `upstreams/*/contracts.py`
[a](docs/no.md) [b](docs/errors.md) [c](docs/errors.md#no-such-heading) [d](docs/errors.md#whose-fault)
make sense `make sense` `make X=1 run`
```sh
make love  # [e](nowhere.md)
```
"""
    assert missing_modules(text) == ["http/nowhere.py", "http/gateway.py"]
    assert broken_links(readme, text) == ["docs/no.md", "docs/errors.md#no-such-heading"]
    assert unknown_targets(text) == ["love", "sense"]


# Both languages.


def test_both_readmes_have_the_same_parts_and_the_same_code() -> None:
    english, chinese = read("README.md"), read("README.zh.md")
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(chinese)]
    assert blocks(english) == blocks(chinese)
    assert len(blocks(english)) > 5
    assert LINK.findall(english)[1:] == LINK.findall(chinese)[1:]


def test_the_readmes_begin_with_a_link_to_each_other() -> None:
    assert "](README.zh.md)" in "".join(read("README.md").splitlines()[:3])
    assert "](README.md)" in "".join(read("README.zh.md").splitlines()[:3])
