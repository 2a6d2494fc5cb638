"""The first screen: what listens where, on whose accounts, for whom, and two lines to try it with as they stand."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address

from moongate.app import Doors, Running
from moongate.settings import Settings


def first_screen(settings: Settings, gateway: Running, entrance: Doors, listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    url = address_of(listening)
    model = next((model.id for model in gateway.catalog.models()), "kimi-k3")
    key = entrance.new_key or ("$MOONGATE_KEY" if entrance.policy.required else "")
    return "\n".join(
        (
            f"Moongate listens on http://{_bracketed(host)}:{port}   documentation: {url}/docs",
            *_accounts(settings, gateway),
            *_keys(settings, entrance),
            "Try it:",
            f"  {curl(url, model, key)}",
            f"  {python(url, model, key)}",
        )
    )


def address_of(listening: socket.socket) -> str:
    """The URL by which this machine reaches it."""
    host, port = listening.getsockname()[:2]
    address = ip_address(host)
    here = {4: "127.0.0.1", 6: "[::1]"}[address.version] if address.is_unspecified else _bracketed(host)
    return f"http://{here}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _accounts(settings: Settings, gateway: Running) -> Iterator[str]:
    if gateway.is_demo:
        yield "DEMO MODE: no credential is configured, so the built-in simulator answers and no model is asked."
        yield "  Set KIMI_API_KEY (platform), KIMI_CODE_API_KEY (Kimi Code) or KIMI_TOKENS (web), and start again."
        yield "  演示模式：尚未配置任何凭据，由内置模拟器作答，不会请求真实模型。设置后重启即可。"
    else:
        names = ", ".join(f"{account.name} ({account.provider or account.upstream})" for account in settings.accounts)
        yield f"Accounts: {names}"
        for account in settings.accounts:
            key = account.credential.reveal() if account.credential else ""
            if account.upstream == "moonshot" and key.startswith("sk-kimi-"):
                yield f"  {account.name} has a key of Kimi Code's shape, which belongs into KIMI_CODE_API_KEY."
        for upstream in dict.fromkeys(account.upstream for account in settings.accounts):
            yield from WARNINGS.get(upstream, ())
    if settings.callers.tokens_accepted:
        yield "Callers may bring keys of their own: sk-kimi-… is sent to Kimi Code, other sk-… to the platform, and"
        yield "  a web account's token to the site it is of."
    if settings.unsupported:
        yield f"Set, but not supported by this version: {', '.join(settings.unsupported)}"


WARNINGS = {
    "kimi-web": (
        "  kimi-web is made for people in a browser: you rely on its terms of use, for accounts of your own, and an",
        "  account that a program uses may be barred.",
        "  网页账号供个人在浏览器中使用：请自行遵守其服务条款，程序使用的账号可能被限制。",
    ),
    "kimi-site": (
        "  kimi-site is not Moonshot's: whoever runs it reads all that is asked.",
        "  该网站并非月之暗面运营，其运营者可以看到全部内容。",
    ),
}
"""What an operator relies on, told once at the start to those who do."""


def _keys(settings: Settings, entrance: Doors) -> Iterator[str]:
    if entrance.new_key:
        yield f"A key was made for callers, and is shown this once: {entrance.new_key}"
    elif entrance.policy.required:
        yield "Callers need a key; put yours into MOONGATE_KEY to try the lines below."
        if entrance.policy.minted:
            yield f"  It was shown at the first start. Delete {settings.home / 'keys.json'} to have another one made."
    else:
        yield "Callers need no key, as only this machine can reach the gateway."
        if entrance.policy.keys:
            yield "  The keys of VALID_API_KEYS are not asked for; REQUIRE_API_KEY=true makes it so."


def curl(url: str, model: str, key: str) -> str:
    auth = f' -H "authorization: Bearer {key}"' if key else ""
    body = f"""'{{"model":"{model}","messages":[{{"role":"user","content":"你好"}}]}}'"""
    return f"curl {url}/v1/chat/completions{auth} -H 'content-type: application/json' -d {body}"


def python(url: str, model: str, key: str) -> str:
    """Works as pasted into a shell, with nothing but Python."""
    auth = f", 'authorization': 'Bearer {key}'" if key else ""
    return (
        'python3 -c "import json, urllib.request as u; '
        f"r = u.Request('{url}/v1/chat/completions', headers={{'content-type': 'application/json'{auth}}}, "
        f"data=json.dumps({{'model': '{model}', 'messages': [{{'role': 'user', 'content': 'Hello'}}]}}).encode()); "
        "print(json.load(u.urlopen(r))['choices'][0]['message']['content'])\""
    )
