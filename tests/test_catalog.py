"""Which names mean which models, for the accounts there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.catalog import ALIASES, MODELS, Catalog, real_name
from moongate.core.errors import GatewayError, Kind
from moongate.core.route import ListedModel
from moongate.core.sealed import Sealed
from moongate.pool.account import Account
from moongate.upstreams.kimi_code import kimi_code
from moongate.upstreams.moonshot import moonshot
from moongate.upstreams.openai import provider

PLATFORM = Account("moonshot-1", moonshot("https://p/v1", "test"), Sealed("sk-example-1"))
OTHER = Account("moonshot-2", PLATFORM.upstream, Sealed("sk-example-2"))
CODING = Account("kimi-code-1", kimi_code("https://c/v1", "test"), Sealed("sk-kimi-example"))
SIMULATOR = Account("simulator", moonshot("https://s/v1", "test", "simulator"), Sealed("x"))
NARROW = Account("narrow", PLATFORM.upstream, Sealed("x"), models=frozenset({"kimi-k2.6", "ft:mine"}))
ALL = (PLATFORM, CODING)

DEEPSEEK = Account("ds-1", provider("deepseek", "https://d/v1", "test"), Sealed("sk-example-3"))
DEEPSEEK_2 = Account("ds-2", DEEPSEEK.upstream, Sealed("sk-example-4"))
OWN_SERVER = Account("my-server", provider("my-server", "http://v/v1", "test"), Sealed(""))
OPENAI = Account("o", provider("openai", "https://o/v1", "test"), Sealed("sk-example-5"))
EVERYBODY = (PLATFORM, CODING, DEEPSEEK, DEEPSEEK_2, OWN_SERVER)


def unknown(catalog: Catalog, name: str) -> str:
    with pytest.raises(GatewayError) as failure:
        catalog.resolve(name)
    assert (failure.value.kind, failure.value.status, failure.value.param) == (Kind.UNKNOWN_MODEL, 404, "model")
    return failure.value.message


def answer(catalog: Catalog, name: str) -> str:
    try:
        return str(len(catalog.resolve(name)))
    except GatewayError as error:
        return error.message


RESOLVED: list[tuple[tuple[Account, ...], str, str]] = [
    (ALL, "kimi-k3", "moonshot/kimi-k3"),
    (ALL, "k3", "kimi-code/k3"),
    (ALL, "moonshot/kimi-k3", "moonshot/kimi-k3"),
    (ALL, "moonshot/not-listed-yet", "moonshot/not-listed-yet"),
    (ALL, "moonshot/a/b", "moonshot/a/b"),
    (ALL, "kimi-code/kimi-k3", "kimi-code/kimi-k3"),
    (ALL, "kimi-for-coding", "kimi-code/kimi-for-coding"),
    (ALL, "kimi-for-coding-thinking", "kimi-code/kimi-for-coding"),
    (ALL, "kimi-code/kimi-for-coding-thinking", "kimi-code/kimi-for-coding"),
    (ALL, "moonshot-v1-8k", "moonshot/kimi-k2.6"),
    (ALL, "moonshot-v1-auto", "moonshot/kimi-k2.6"),
    (ALL, "moonshot/moonshot-v1-32k", "moonshot/kimi-k2.6"),
    ((SIMULATOR,), "kimi-k3", "simulator/kimi-k3"),
    ((SIMULATOR,), "kimi-for-coding-thinking", "simulator/kimi-for-coding"),
    ((SIMULATOR,), "moonshot-v1-128k", "simulator/kimi-k2.6"),
    ((NARROW,), "ft:mine", "moonshot/ft:mine"),
    ((NARROW,), "moonshot-v1-8k", "moonshot/kimi-k2.6"),
    ((NARROW, PLATFORM), "kimi-k3", "moonshot/kimi-k3"),
]


@pytest.mark.parametrize(("accounts", "name", "route"), RESOLVED)
def test_a_name_means_a_model_at_an_upstream(accounts: tuple[Account, ...], name: str, route: str) -> None:
    assert [str(found) for found in Catalog(accounts).resolve(name)] == [route]


UNKNOWN: list[tuple[tuple[Account, ...], str]] = [
    (ALL, "gpt-5"),
    (ALL, "nobody/kimi-k3"),
    (ALL, "moonshot/"),
    (ALL, "/kimi-k3"),
    (ALL, "KIMI-K3"),
    ((CODING,), "kimi-k3"),
    ((CODING,), "moonshot/kimi-k3"),
    ((CODING,), "moonshot-v1-8k"),
    ((PLATFORM,), "kimi-for-coding-thinking"),
    ((NARROW,), "kimi-k3"),
    ((NARROW,), "moonshot/kimi-k3"),
    ((), "kimi-k3"),
]


@pytest.mark.parametrize(("accounts", "name"), UNKNOWN)
def test_a_name_that_no_account_serves_is_unknown(accounts: tuple[Account, ...], name: str) -> None:
    assert name in unknown(Catalog(accounts), name)


def test_an_unknown_name_gets_the_nearest_ones() -> None:
    assert "did you mean kimi-k3" in unknown(Catalog(ALL), "kimi-k3-turbo")
    assert "GET /v1/models" in unknown(Catalog(ALL), "zzzzzz")


@given(st.text(min_size=1, max_size=300))
def test_any_name_is_answered_in_one_printable_line(name: str) -> None:
    message = answer(Catalog(ALL), name)
    assert len(message) < 1200
    assert message.isascii()
    assert message.isprintable()


def test_a_name_may_say_how_it_is_meant() -> None:
    (route,) = Catalog(ALL).resolve("kimi-for-coding-thinking")
    assert (route.thinking, route.note) == (True, "kimi-for-coding with thinking enabled")
    (retired,) = Catalog(ALL).resolve("moonshot-v1-8k")
    assert (retired.thinking, retired.note) == (False, "moonshot-v1-8k was retired, kimi-k2.6 answers")


# Providers, which are upstreams the operator has named.


def listing(*told: tuple[Account, str]) -> Catalog:
    """Everybody, after these accounts have reported these models."""
    catalog = Catalog(EVERYBODY)
    for account, names in told:
        catalog.learn(account, tuple(ListedModel(name, account.upstream.name) for name in names.split()))
    return catalog


KNOWN = ((DEEPSEEK, "deepseek-chat openai/gpt-oss"), (DEEPSEEK_2, "deepseek-chat"), (OWN_SERVER, "qwen kimi-k3"))


@pytest.mark.parametrize(
    ("name", "routes"),
    [
        ("deepseek-chat", ["deepseek/deepseek-chat"]),
        ("deepseek/deepseek-chat", ["deepseek/deepseek-chat"]),
        ("deepseek/not-listed-yet", ["deepseek/not-listed-yet"]),
        ("my-server/a/b", ["my-server/a/b"]),
        ("openai/qwen", ["my-server/qwen"]),
        ("openai/of-nobody", ["deepseek/of-nobody", "my-server/of-nobody"]),
        ("openai/gpt-oss", ["deepseek/openai/gpt-oss"]),
        ("kimi-k3", ["moonshot/kimi-k3", "my-server/kimi-k3"]),
        ("kimi-k2.6", ["moonshot/kimi-k2.6"]),
    ],
)
def test_a_providers_models_are_had_by_name_or_by_address(name: str, routes: list[str]) -> None:
    assert [str(route) for route in listing(*KNOWN).resolve(name)] == routes


def test_a_server_that_has_told_nothing_takes_any_name_that_nobody_offers() -> None:
    catalog = listing(*KNOWN[:2])
    assert [str(route) for route in catalog.resolve("who-knows")] == ["my-server/who-knows"]
    assert [str(route) for route in catalog.resolve("kimi-k3")] == ["moonshot/kimi-k3"]
    assert [str(route) for route in catalog.resolve("moonshot-v1-8k")] == ["moonshot/kimi-k2.6"]
    unknown(listing(*KNOWN), "who-knows")


def test_a_server_that_is_kept_to_some_models_takes_no_other_name() -> None:
    kept = Account("my-server", OWN_SERVER.upstream, Sealed(""), models=frozenset({"qwen"}))
    assert [str(route) for route in Catalog((kept,)).resolve("qwen")] == ["my-server/qwen"]
    unknown(Catalog((kept,)), "who-knows")


def test_of_several_providers_one_may_be_called_openai() -> None:
    assert [str(route) for route in Catalog((DEEPSEEK, OPENAI)).resolve("openai/gpt-5")] == ["openai/gpt-5"]
    assert unknown(Catalog(ALL), "openai/gpt-5").endswith("there is no account of upstream openai here")


def test_a_providers_models_are_listed_as_its_own() -> None:
    listed = {model.id: model.upstream for model in listing(*KNOWN).models()}
    assert (listed["deepseek-chat"], listed["qwen"], listed["kimi-k3"]) == ("deepseek", "my-server", "moonshot")


# One account.


@pytest.mark.parametrize(
    ("name", "route", "served_by"),
    [
        ("moonshot-2/kimi-k3", "moonshot/kimi-k3", [OTHER]),
        ("ds-2/deepseek-chat", "deepseek/deepseek-chat", [DEEPSEEK_2]),
        ("kimi-code-1/kimi-for-coding-thinking", "kimi-code/kimi-for-coding", [CODING]),
        ("moonshot/kimi-k3", "moonshot/kimi-k3", [PLATFORM, OTHER]),
    ],
)
def test_an_account_that_is_addressed_serves_alone(name: str, route: str, served_by: list[Account]) -> None:
    every = (*EVERYBODY, OTHER)
    [found] = Catalog(every).resolve(name)
    assert str(found) == route
    assert {account.name for account in every if account.serves(found)} == {account.name for account in served_by}


def test_an_upstream_is_meant_before_an_account_of_its_name() -> None:
    misnamed = Account("moonshot", CODING.upstream, Sealed("x"))
    assert [str(route) for route in Catalog((PLATFORM, misnamed)).resolve("moonshot/k3")] == ["moonshot/k3"]
    unknown(Catalog((misnamed,)), "moonshot/k3")


def test_an_account_that_does_not_serve_the_model_is_not_sent_it() -> None:
    assert "narrow/kimi-k3" in unknown(Catalog((PLATFORM, NARROW)), "narrow/kimi-k3")


# The operator's own routes.


def test_the_operators_routes_are_tried_in_their_order_before_all_else() -> None:
    catalog = Catalog(ALL, {"best": ("kimi-code/k3", "moonshot/kimi-k3"), "kimi-k3": ("kimi-code/k3",)})
    assert [str(route) for route in catalog.resolve("best")] == ["kimi-code/k3", "moonshot/kimi-k3"]
    assert [str(route) for route in catalog.resolve("kimi-k3")] == ["kimi-code/k3"]


def test_a_route_that_no_account_serves_is_passed_over() -> None:
    catalog = Catalog((CODING,), {"best": ("moonshot/kimi-k3", "kimi-code/k3"), "lost": ("moonshot/kimi-k3",)})
    assert [str(route) for route in catalog.resolve("best")] == ["kimi-code/k3"]
    unknown(catalog, "lost")


def test_routes_across_upstreams_providers_and_accounts_keep_their_order() -> None:
    ways = ("deepseek/deepseek-chat", "moonshot/kimi-k3", "ds-2/x", "openai/y", "deepseek/deepseek-chat")
    found = Catalog(EVERYBODY, {"best": ways}).resolve("best")
    assert [str(route) for route in found] == [
        "deepseek/deepseek-chat",
        "moonshot/kimi-k3",
        "deepseek/x",
        "deepseek/y",
        "my-server/y",
    ]
    assert [route.account for route in found] == ["", "", "ds-2", "", ""]


def test_an_operators_name_may_look_like_an_address() -> None:
    catalog = Catalog(ALL, {"openai/gpt-5": ("moonshot/kimi-k3",)})
    assert [str(route) for route in catalog.resolve("openai/gpt-5")] == ["moonshot/kimi-k3"]


# What accounts report.


def test_what_an_account_reports_takes_the_place_of_what_was_assumed() -> None:
    catalog = Catalog(ALL)
    catalog.learn(PLATFORM, (ListedModel("kimi-k4", "moonshot", context_length=9),))
    assert [str(route) for route in catalog.resolve("kimi-k4")] == ["moonshot/kimi-k4"]
    unknown(catalog, "kimi-k3")
    assert [model.id for model in catalog.models() if model.upstream == "moonshot"] == ["kimi-k4"]


def test_what_one_account_reports_says_nothing_of_another() -> None:
    catalog = Catalog((PLATFORM, OTHER))
    catalog.learn(PLATFORM, ())
    assert [str(route) for route in catalog.resolve("kimi-k3")] == ["moonshot/kimi-k3"]


def test_the_same_model_of_two_accounts_is_one_route() -> None:
    assert len(Catalog((PLATFORM, OTHER)).resolve("kimi-k3")) == 1


def test_what_an_account_was_configured_to_serve_is_offered_unreported() -> None:
    catalog = Catalog((NARROW,))
    catalog.learn(NARROW, (ListedModel("kimi-k2.6", "moonshot"), ListedModel("kimi-k3", "moonshot")))
    assert [model.id for model in catalog.models()] == ["kimi-k2.6", "ft:mine"]


# Callers' own accounts.


def test_a_callers_own_account_is_asked_for_any_name() -> None:
    catalog = Catalog((), {})
    assert [str(route) for route in catalog.resolve("kimi-k3", (PLATFORM,))] == ["moonshot/kimi-k3"]
    assert [str(route) for route in catalog.resolve("who-knows", (PLATFORM, OTHER))] == ["moonshot/who-knows"]
    assert [str(route) for route in catalog.resolve("x", (PLATFORM, CODING))] == ["moonshot/x", "kimi-code/x"]


def test_a_callers_own_account_is_not_served_by_ours() -> None:
    assert [str(route) for route in Catalog(ALL).resolve("kimi-k3", (CODING,))] == ["kimi-code/kimi-k3"]


# Lists.


def test_the_list_holds_what_the_accounts_serve_each_once() -> None:
    names = [model.id for model in Catalog((PLATFORM, OTHER, CODING)).models()]
    assert len(names) == len(set(names))
    served = {"moonshot", "kimi-code"}
    assert set(names) == {*(m.id for m in MODELS if m.upstream in served), "kimi-for-coding-thinking"}
    assert [model.id for model in Catalog((PLATFORM,)).models()] == [m.id for m in MODELS if m.upstream == "moonshot"]
    assert Catalog(()).models() == ()


def test_an_operators_name_is_listed() -> None:
    assert Catalog(ALL, {"best": ("moonshot/kimi-k3",)}).models()[0] == ListedModel("best", "moongate")


@pytest.mark.parametrize("alias", [alias.name for alias in ALIASES])
def test_a_name_is_described_as_the_model_it_means(alias: str) -> None:
    catalog = Catalog(ALL)
    described = catalog.model(alias)
    meant = catalog.model(catalog.resolve(alias)[0].model)
    assert described.id == alias
    assert described.context_length == meant.context_length


def test_an_unknown_model_is_not_described() -> None:
    with pytest.raises(GatewayError):
        Catalog(ALL).model("gpt-5")
    assert Catalog(ALL).model("moonshot/new").context_length is None


def test_an_operators_own_name_may_stand_for_another_name() -> None:
    catalog = Catalog(ALL, {"think": ("kimi-code/kimi-for-coding-thinking",)})
    [route] = catalog.resolve("think")
    assert (str(route), route.thinking) == ("kimi-code/kimi-for-coding", True)


def test_an_account_kept_to_another_name_of_a_model_is_kept_to_that_model() -> None:
    assert real_name("kimi-code", "kimi-for-coding-thinking") == "kimi-for-coding"
    assert real_name("moonshot", "kimi-for-coding-thinking") == "kimi-for-coding-thinking"


def test_what_an_account_reports_comes_before_what_a_name_stands_for_elsewhere() -> None:
    catalog = Catalog(ALL)
    catalog.learn(PLATFORM, (ListedModel("moonshot-v1-8k", "moonshot"),))
    [route] = catalog.resolve("moonshot-v1-8k")
    assert (str(route), route.note) == ("moonshot/moonshot-v1-8k", "")


def test_an_empty_list_takes_no_model_away() -> None:
    catalog = Catalog(ALL)
    catalog.learn(PLATFORM, ())
    assert str(catalog.resolve("kimi-k3")[0]) == "moonshot/kimi-k3"


def test_only_names_that_can_be_had_are_suggested_or_listed() -> None:
    catalog = Catalog((PLATFORM,), {"best": ("kimi-code/k3",)})
    assert "best" not in {model.id for model in catalog.models()}
    assert "thinking" not in unknown(catalog, "kimi-for-codin")
    assert (
        unknown(catalog, "kimi-code/k3")
        == "kimi-code/k3 cannot be served: there is no account of upstream kimi-code here"
    )
    assert unknown(catalog, "") == "no model was named"
