"""Settings as a test gives them, and a right and some wrong values for each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from moongate.settings import TABLE, Setting, Settings, SettingsError, load

REPOSITORY = Path(__file__).parent.parent

KEY_A, KEY_B = "sk-example-aaaaaaaaaaaa", "sk-example-bbbbbbbbbbbb"

# name: two values that are right and mean different things, and some that are wrong
VALUES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "KIMI_API_KEY": (KEY_A, KEY_B, ("schlüssel", "sk-example\x07")),
    "KIMI_BASE_URL": (
        "https://api.moonshot.ai/v1",
        "http://10.0.0.1:8080",
        (
            "api.moonshot.ai",
            "ftp://example.com",
            "https://",
            "https://example.com/v1?a=b",
            "https://example.com/#a",
            "https://example.com:port",
            "https://example.com:99999",
            "https://exam ple.com",
            "https://[::1",
        ),
    ),
    "KIMI_CODE_API_KEY": (KEY_A, KEY_B, ("钥匙",)),
    "KIMI_API_BASE_URL": ("https://example.com/coding", "https://example.org/coding/v1", ("kimi", "https:///v1")),
    "KIMI_CODE_OAUTH_HOST": ("https://auth.example.com", "http://127.0.0.1:9100", ("auth.kimi.com", "kimi://auth")),
    "KIMI_TOKENS": (KEY_A, KEY_B, ("令牌",)),
    "KIMI_WEB_BASE_URL": ("https://www.kimi.ai", "http://127.0.0.1:9100", ("www.kimi.ai",)),
    "KIMI_WEB_AUTH_URL": ("https://auth.kimi.ai", "http://127.0.0.1:9100", ("auth.kimi.ai",)),
    "KIMI_WEB_DIALECT": ("connect", "rest", ("grpc",)),
    "KIMI_WEB_CITATIONS": ("none", "raw", ("footnotes",)),
    "KIMI_SITE_ENABLED": ("true", "false", ("perhaps",)),
    "KIMI_SITE_BASE_URL": ("https://example.com", "http://127.0.0.1:9100", ("kimi-ai.chat",)),
    "KIMI_SITE_MAX_LENGTH": ("500", "8000", ("0", "-1", "long")),
    "KIMI_SITE_PACE": ("0.02", "off", ("1", "-1", "slow")),
    "KIMI_SITE_CLOUDSCRAPER": ("yes", "no", ("maybe",)),
    "SESSION_CACHE_TTL": ("60", "7.5", ("0", "-1", "an hour")),
    "MAX_SESSION_SIZE": ("5", "10000", ("0", "-1", "many")),
    "MOONGATE_DATABASE_URL": (
        "postgresql://moongate:sk-example-aaaaaaaaaaaa@db.example.com/moongate",
        "sqlite:////var/lib/moongate.db",
        ("mysql://db.example.com/moongate", "moongate.db", "postgresql://schlüssel@db"),
    ),
    "USER_AGENT": ("curl/8", "other/1", ("agent\x1b[0m", "门")),
    "API_MASTER_KEY": (KEY_A, KEY_B, ("ключ",)),
    "DEFAULT_AUTHKEYS": (KEY_A, KEY_B, ("a,ключ",)),
    "REQUIRE_API_KEY": ("true", "false", ("maybe", "2", "y")),
    "VALID_API_KEYS": (KEY_A, KEY_B, ("ключ",)),
    "CALLER_TOKENS": ("yes", "no", ("perhaps",)),
    "MOONGATE_PUBLIC_MODELS": ("off", "on", ("public",)),
    "API_HOST": ("0.0.0.0", "localhost", ("http://localhost", "0.0.0.0:8000", "999.1.1.1", "a b", "*")),
    "API_PORT": ("9000", "0", ("99999", "-1", "eighty", "80.5", "true")),
    "MOONGATE_MAX_BODY": ("512k", "1GB", ("0", "-5", "20 miles", "MiB", "1.5m", "9" * 5000)),
    "ALLOWED_ORIGINS": (
        "https://example.com",
        "http://localhost:3000,https://example.org",
        ("example.com", "https://example.com/path", "https://*.example.com", "https://a:b", "https://u@example.com"),
    ),
    "TRUSTED_PROXIES": ("10.0.0.0/8", "::1,127.0.0.1", ("proxy", "10.0.0.0/99", "127.0.0.1,localhost")),
    "REQUEST_TIMEOUT": ("5", "7.5", ("0", "off", "-1", "nan", "inf", "1e999", "60s")),
    "MOONGATE_STALL_TIMEOUT": ("5", "7.5", ("0", "off", "soon")),
    "MOONGATE_TOTAL_TIMEOUT": ("5", "off", ("-1", "never", "nan")),
    "MOONGATE_HEARTBEAT": ("5", "0", ("-1", "often")),
    "MOONGATE_QUEUE_TIMEOUT": ("5", "off", ("-1", "never", "inf")),
    "MAX_RETRIES": ("0", "20", ("21", "-1", "2.5", "many")),
    "MOONGATE_BUFFERED": ("yes", "no", ("late",)),
    "LOG_LEVEL": ("debug", "Error", ("LOUD",)),
    "MOONGATE_LOG_FORMAT": ("json", "text", ("xml",)),
    "DEBUG": ("1", "0", ("express:all",)),
    "MOONGATE_HOME": ("here", "/var/lib/moongate", ("~nobody-of-this-name/x",)),
    "MOONGATE_SECRET": (KEY_A, KEY_B, ("ключ", "two\nlines")),
    "NODE_ENV": ("development", "production", ()),
}

BY_NAME: dict[str, Setting[object]] = {setting.name: setting for setting in TABLE}
PLAIN = [setting for setting in TABLE if setting.name != "MOONGATE_CONFIG"]
SECRET = [
    *("KIMI_API_KEY", "KIMI_CODE_API_KEY", "KIMI_TOKENS"),
    *("API_MASTER_KEY", "DEFAULT_AUTHKEYS", "VALID_API_KEYS"),
    *("MOONGATE_DATABASE_URL", "MOONGATE_SECRET"),
]
WRONG = [(name, wrong) for name, (_, _, wrongs) in VALUES.items() for wrong in wrongs]


def settings(
    directory: Path,
    environ: Mapping[str, str] | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    dotenv: str | None = None,
    toml: str | None = None,
) -> Settings:
    for name, content in ((".env", dotenv), ("moongate.toml", toml)):
        (directory / name).unlink(missing_ok=True)
        if content is not None:
            (directory / name).write_text(content, "utf-8")
    return load(overrides or {}, environ=environ or {}, directory=directory)


def refusal(directory: Path, environ: Mapping[str, str] | None = None, **places: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        settings(directory, environ, **places)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()
    return caught.value


def message(directory: Path, environ: Mapping[str, str] | None = None, **places: Any) -> str:
    return str(refusal(directory, environ, **places))


def account(*lines: str, name: str = "team-a", upstream: str = "moonshot") -> str:
    return "\n".join(["[[accounts]]", f'name = "{name}"', f'upstream = "{upstream}"', *lines, ""])
