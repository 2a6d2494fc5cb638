"""What settings make of a web account: where it is spoken to, and what it shows there."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from given_settings import settings
from moongate.core.sealed import Sealed
from moongate.pool.account import Account
from moongate.pool.credentials import FixedKey
from moongate.pool.login import Login
from moongate.settings import Settings
from moongate.simulator.web import WebSite
from moongate.upstreams.junction import Junction
from moongate.upstreams.kimi_web.web import KimiWeb
from moongate.upstreams.scraping import ScraperTransport
from moongate.wire.http import HttpCall, HttpReply
from moongate.wiring import Wiring, way_of
from scripted import JSON, Played, Stage

SITE = WebSite()
USER = SITE.user("ada")


async def made(given: Settings) -> tuple[Account, ...]:
    async with AsyncExitStack() as held:
        return await Wiring(Stage(), held).accounts(given)


def bases(accounts: tuple[Account, ...]) -> list[str]:
    return [account.upstream._base_url for account in accounts if isinstance(account.upstream, KimiWeb)]


async def test_a_token_becomes_a_login_if_it_renews_and_a_key_if_it_does_not(tmp_path: Path) -> None:
    tokens = f"{USER.refresh_token},Bearer {USER.access_token}"
    first, second = await made(settings(tmp_path, {"KIMI_TOKENS": tokens}))
    assert isinstance(first.credential, Login)
    assert second.credential == FixedKey(Sealed(USER.access_token))
    assert (first.name, first.max_concurrency, first.rpm) == ("kimi-web-1", 1, 20)


async def test_accounts_of_one_site_share_what_is_learned_of_it(tmp_path: Path) -> None:
    other = SITE.user("bob").refresh_token
    first, second = await made(settings(tmp_path, {"KIMI_TOKENS": f"{USER.refresh_token},{other}"}))
    assert first.upstream is second.upstream


@pytest.mark.parametrize(
    ("environ", "base"),
    [
        ({}, "https://www.kimi.ai"),
        ({"KIMI_WEB_BASE_URL": "https://www.example.com"}, "https://www.example.com"),
    ],
)
async def test_a_token_that_says_where_it_belongs_is_used_there_unless_the_operator_says_otherwise(
    tmp_path: Path, environ: dict[str, str], base: str
) -> None:
    user = WebSite().user("eve")
    user.region = "overseas"
    given = settings(tmp_path, {"KIMI_TOKENS": user.refresh_token, **environ})
    assert bases(await made(given)) == [base]


async def test_the_settings_of_an_account_win(tmp_path: Path) -> None:
    toml = f"""
[[accounts]]
name = "ada"
upstream = "kimi-web"
credential = "{USER.refresh_token}"
base_url = "https://www.kimi.ai"
max_concurrency = 3
rpm = 100
"""
    (account,) = await made(found := settings(tmp_path, toml=toml))
    assert bases((account,)) == ["https://www.kimi.ai"]
    assert (account.max_concurrency, account.rpm) == (3, 100)
    assert found.accounts[0].auth_url == "https://auth.kimi.ai"


async def test_only_calls_that_ask_for_it_go_another_way() -> None:
    usual, other = Stage(Played(b"usual", headers=JSON)), Stage(Played(b"other", headers=JSON))
    junction = Junction(usual, {"kimi-site": other})
    replies: list[HttpReply] = [
        await junction.fetch(HttpCall("GET", "https://site.example/", via=via)) for via in ("kimi-site", "")
    ]
    assert [reply.body for reply in replies] == [b"other", b"usual"]


@pytest.mark.parametrize(
    ("environ", "is_scraped"),
    [
        ({"KIMI_SITE_ENABLED": "true"}, True),
        ({"KIMI_SITE_ENABLED": "true", "KIMI_SITE_CLOUDSCRAPER": "true"}, True),
        ({"KIMI_SITE_ENABLED": "true", "KIMI_SITE_CLOUDSCRAPER": "false"}, False),
        ({"KIMI_SITE_CLOUDSCRAPER": "true"}, False),
    ],
)
async def test_the_library_for_such_sites_is_used_where_it_is_wanted(
    tmp_path: Path, environ: dict[str, str], is_scraped: bool
) -> None:
    pytest.importorskip("cloudscraper", reason="cloudscraper is not installed; it is an extra")
    stage = Stage()
    async with AsyncExitStack() as held:
        way = await way_of(settings(tmp_path, environ), held, stage)
        assert isinstance(way, Junction) is is_scraped
        assert way is stage or isinstance(way, Junction)
        if isinstance(way, Junction):
            assert isinstance(way._way(HttpCall("GET", "https://kimi-ai.chat/", via="kimi-site")), ScraperTransport)
