"""What is served besides the replies of models, and how every reply is named."""

import re

import pytest
from openapi_spec_validator import validate

from harness import Gateway, Serve, until
from moongate import __version__
from moongate.simulator import Simulator


async def test_the_root_says_that_it_runs(gateway: Gateway) -> None:
    async with gateway.http.get(gateway.url) as reply:
        assert await reply.json() == {"status": "running"}


async def test_health_answers_in_the_web_backends_shape(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.url}/health") as reply:
        body = await reply.json()
    assert body["success"] is True
    assert body["message"] == "Moongate is running"
    assert body["version"] == __version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["timestamp"])


async def test_it_is_ready_while_an_account_can_serve(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.url}/health/ready") as reply:
        assert (reply.status, await reply.json()) == (200, {"ready": True})


@pytest.mark.parametrize("twin", ["", "/coding"])
async def test_models_are_what_the_accounts_report_and_our_own_names(gateway: Gateway, twin: str) -> None:
    async with gateway.http.get(f"{gateway.url}{twin}/v1/models") as reply:
        body = await reply.json()
    assert body["object"] == "list"
    models = {model["id"]: model for model in body["data"]}
    assert {"kimi-k3", "kimi-k2.6", "kimi-for-coding", "kimi-for-coding-thinking", "k3"} <= set(models)
    assert len(models) == len(body["data"])
    assert models["kimi-k3"]["context_length"] == 1048576
    assert all(type(model["created"]) is int and model["object"] == "model" for model in models.values())


@pytest.mark.parametrize("name", ["kimi-k3", "kimi-for-coding-thinking", "moonshot-v1-8k", "moonshot/kimi-k3"])
async def test_one_model_is_told_by_every_name_it_answers_to(gateway: Gateway, name: str) -> None:
    async with gateway.http.get(f"{gateway.url}/v1/models/{name}") as reply:
        assert (reply.status, (await reply.json())["id"]) == (200, name)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/coding/v1/chat/completions"])
async def test_the_twin_of_a_path_answers_like_it(gateway: Gateway, path: str) -> None:
    body = {"model": "kimi-for-coding", "messages": [{"role": "user", "content": "hi"}]}
    async with gateway.http.post(gateway.url + path, json=body) as reply:
        assert (await reply.json())["object"] == "chat.completion"


async def test_a_model_nobody_serves_is_a_404_with_the_nearest_names(gateway: Gateway) -> None:
    async with gateway.ask(model="kimi-k33") as reply:
        error = (await reply.json())["error"]
    assert (reply.status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "kimi-k3" in error["message"]


async def test_an_account_may_be_kept_to_some_models(sim: Simulator, serve: Serve, tmp_path) -> None:
    tmp_path.joinpath("moongate.toml").write_text(
        f"""
        [[accounts]]
        name = "team-a"
        upstream = "moonshot"
        credential = "env:TEAM_A"
        base_url = "{sim.platform}"
        models = ["kimi-k3"]

        [[models]]
        name = "best"
        routes = ["kimi-code/k3", "moonshot/kimi-k3"]
        """
    )
    async with serve({"TEAM_A": "sk-example-team-a"}) as gateway:
        async with gateway.ask(model="kimi-k2.6") as reply:
            assert reply.status == 404
        async with gateway.ask(model="best") as reply:
            assert reply.headers["x-moongate-route"] == "moonshot/kimi-k3"
        async with gateway.http.get(f"{gateway.url}/v1/models") as reply:
            assert [model["id"] for model in (await reply.json())["data"]] == ["best", "kimi-k3"]


async def test_what_is_not_there_is_a_404_and_what_is_asked_wrongly_a_405(gateway: Gateway) -> None:
    cases = (
        ("GET", "/v1/nope", 404, "unknown_url"),
        ("POST", "/nope", 404, "unknown_url"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    )
    for method, path, status, code in cases:
        async with gateway.http.request(method, gateway.url + path) as reply:
            error = (await reply.json())["error"]
        assert (reply.status, error["code"]) == (status, code), path
        assert reply.headers["x-moongate-origin"] == "caller"
        assert reply.headers["x-request-id"]
        assert ("allow" in reply.headers) == (status == 405)


async def test_every_reply_has_a_name_and_keeps_a_well_formed_one(gateway: Gateway) -> None:
    for path in ("/", "/health", "/v1/models", "/nope", "/docs", "/openapi.json"):
        async with gateway.http.get(gateway.url + path) as reply:
            assert reply.headers.getall("x-request-id")[0].startswith("req_")
            assert len(reply.headers.getall("x-request-id")) == 1
    async with gateway.ask(headers={"x-request-id": "mine-1.2:3"}) as reply:
        assert reply.headers.getall("x-request-id") == ["mine-1.2:3"]
    async with gateway.ask(headers={"x-request-id": "no spaces, please"}) as reply:
        assert reply.headers["x-request-id"].startswith("req_")
    assert [record["request_id"] for record in gateway.records()][-2] == "mine-1.2:3"


async def test_the_interface_is_documented_without_the_internet(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.url}/openapi.json") as reply:
        document = await reply.json()
    validate(document)
    assert {"/v1/chat/completions", "/coding/v1/chat/completions", "/v1/models", "/health/ready"} <= set(
        document["paths"]
    )
    async with gateway.http.get(f"{gateway.url}/docs") as reply:
        page = await reply.text()
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) >= 2
    for link in links:
        if link.startswith("data:"):
            continue
        assert link.startswith("/"), "nothing is fetched from elsewhere"
        async with gateway.http.get(gateway.url + link) as reply:
            assert reply.status == 200
            assert len(await reply.read()) > 10_000


async def test_a_page_of_another_origin_may_ask_and_read_the_headers(gateway: Gateway) -> None:
    origin = {"origin": "https://app.example"}
    preflight = {
        **origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-moongate-params",
    }
    async with gateway.http.options(gateway.chat_url, headers=preflight) as reply:
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "authorization" in reply.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in reply.headers
    async with gateway.ask(headers=origin) as reply:
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "x-moongate-route" in reply.headers["access-control-expose-headers"]


async def test_a_question_of_a_browser_before_its_request_is_an_answered_one(serve: Serve) -> None:
    async with serve({"LOG_LEVEL": "debug"}) as gateway:
        preflight = {"origin": "https://app.example", "access-control-request-method": "POST"}
        async with gateway.http.options(gateway.chat_url, headers=preflight) as reply:
            assert reply.status == 200
        await until(lambda: bool(gateway.records()))
    assert (gateway.records()[-1]["outcome"], gateway.records()[-1]["log_level"]) == ("answered", "debug")


async def test_only_the_origins_that_are_allowed_may_read(serve: Serve) -> None:
    async with serve({"ALLOWED_ORIGINS": "https://app.example"}) as gateway:
        async with gateway.ask(headers={"origin": "https://app.example"}) as reply:
            assert reply.headers["access-control-allow-origin"] == "https://app.example"
        async with gateway.ask(headers={"origin": "https://evil.example"}) as reply:
            assert reply.status == 403  # CORS alone would hide the answer, but have it paid for
            assert "access-control-allow-origin" not in reply.headers
        async with gateway.ask(headers={"origin": gateway.url}) as reply:
            assert reply.status == 200


async def test_the_client_behind_a_trusted_proxy_is_who_the_log_names(serve: Serve) -> None:
    forwarded = {"x-forwarded-for": "203.0.113.9, 198.51.100.7"}
    async with serve({}) as gateway, gateway.ask(headers=forwarded):
        pass
    assert gateway.records()[-1]["client"] == "127.0.0.1"
    async with serve({"TRUSTED_PROXIES": "127.0.0.1"}) as gateway, gateway.ask(headers=forwarded):
        pass
    assert gateway.records()[-1]["client"] == "198.51.100.7"
