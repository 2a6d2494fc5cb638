"""Every setting there is, each described once: its name, kind, default and meaning.

The documents are tested against these rows. A default is written as an operator would write it, and read the same way.
"""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from moongate.settings import kinds
from moongate.settings.kinds import Kind, optional

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Setting(Generic[T_co]):
    name: str
    kind: Kind[T_co]
    default: str | None
    meaning: str
    unset: str = "none"
    """What holds when nothing is set and there is no default to write down."""
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    settings: tuple[Setting[object], ...]


KIMI_API_KEY = Setting(
    "KIMI_API_KEY",
    kinds.CREDENTIALS,
    "",
    "Keys of the Moonshot platform; each becomes an account moonshot-1, moonshot-2 …",
)
KIMI_BASE_URL = Setting(
    "KIMI_BASE_URL", kinds.BASE_URL, "https://api.moonshot.cn/v1", "Where accounts of upstream moonshot are spoken to."
)
KIMI_CODE_API_KEY = Setting(
    "KIMI_CODE_API_KEY", kinds.CREDENTIALS, "", "Keys of Kimi Code; each becomes an account kimi-code-1, kimi-code-2 …"
)
KIMI_API_BASE_URL = Setting(
    "KIMI_API_BASE_URL",
    kinds.KIMI_CODE_BASE_URL,
    "https://api.kimi.com/coding",
    "Where accounts of upstream kimi-code are spoken to, with or without /v1 at the end.",
)
KIMI_CODE_OAUTH_HOST = Setting(
    "KIMI_CODE_OAUTH_HOST",
    kinds.BASE_URL,
    "https://auth.kimi.com",
    "Where logins at Kimi Code are made and renewed.",
)
USER_AGENT = Setting(
    "USER_AGENT",
    optional(kinds.HEADER),
    None,
    "The user agent sent upstream; who changes it answers for that.",
    unset="`moongate/<version>`",
)

API_MASTER_KEY = Setting("API_MASTER_KEY", optional(kinds.KEY), None, "One key of a caller who may do everything.")
DEFAULT_AUTHKEYS = Setting(
    "DEFAULT_AUTHKEYS",
    kinds.KEYS,
    "",
    "Keys of callers who use the configured accounts; any other bearer value is then the caller's own credential.",
)
REQUIRE_API_KEY = Setting("REQUIRE_API_KEY", kinds.YES_NO, "false", "Whether a caller needs one of the keys.")
VALID_API_KEYS = Setting("VALID_API_KEYS", kinds.KEYS, "", "Keys of callers, sent as x-api-key or as a bearer value.")
CALLER_TOKENS = Setting(
    "CALLER_TOKENS",
    optional(kinds.YES_NO),
    None,
    "Whether callers may bring upstream credentials of their own.",
    unset="on if DEFAULT_AUTHKEYS is set or no account is configured, else off",
)
MOONGATE_PUBLIC_MODELS = Setting(
    "MOONGATE_PUBLIC_MODELS", kinds.YES_NO, "true", "Whether the list of models is told without a key."
)

API_HOST = Setting(
    "API_HOST", kinds.HOST, "127.0.0.1", "The address it listens on; 0.0.0.0 is every one of this machine."
)
API_PORT = Setting(
    "API_PORT", kinds.PORT, "8000", "The port it listens on; 0 takes any that is free.", aliases=("PORT",)
)
MOONGATE_MAX_BODY = Setting("MOONGATE_MAX_BODY", kinds.SIZE, "20MiB", "The largest request body that is read.")
ALLOWED_ORIGINS = Setting(
    "ALLOWED_ORIGINS", kinds.ORIGINS, "*", "Web pages of these origins may call from a browser; * is all of them."
)
TRUSTED_PROXIES = Setting(
    "TRUSTED_PROXIES", kinds.NETWORKS, "", "Proxies whose X-Forwarded-For is believed; without any, nobody's is."
)

REQUEST_TIMEOUT = Setting(
    "REQUEST_TIMEOUT",
    optional(kinds.SECONDS),
    None,
    "How long the first byte of a reply may take; whole replies say nothing until they are complete.",
    unset="60 for streams, 900 for whole replies",
)
MOONGATE_STALL_TIMEOUT = Setting(
    "MOONGATE_STALL_TIMEOUT", kinds.SECONDS, "120", "How long a reply that has begun may be silent."
)
MOONGATE_TOTAL_TIMEOUT = Setting(
    "MOONGATE_TOTAL_TIMEOUT", kinds.SECONDS_OR_OFF, "3600", "How long a reply may take from its beginning to its end."
)
MOONGATE_HEARTBEAT = Setting(
    "MOONGATE_HEARTBEAT",
    kinds.SECONDS_OR_OFF,
    "15",
    "The silence after which a stream gets a comment that keeps it open.",
)
MOONGATE_QUEUE_TIMEOUT = Setting(
    "MOONGATE_QUEUE_TIMEOUT",
    kinds.SECONDS_OR_OFF,
    "30",
    "How long a request waits for an account when all are busy or resting; 0 or off is not at all.",
)
MAX_RETRIES = Setting("MAX_RETRIES", kinds.RETRIES, "3", "Further attempts before the first byte.")
MOONGATE_BUFFERED = Setting(
    "MOONGATE_BUFFERED",
    kinds.YES_NO,
    "false",
    "Whether answers are held back until they are complete, so that even a late break is retried whole; "
    "x-moongate-buffered: true does it for one request.",
)

LOG_LEVEL = Setting("LOG_LEVEL", kinds.LEVEL, "INFO", "The least important messages that are logged.")
MOONGATE_LOG_FORMAT = Setting(
    "MOONGATE_LOG_FORMAT",
    kinds.LOG_FORMAT,
    "auto",
    "How log lines look; auto is text on a terminal and json elsewhere.",
)
DEBUG = Setting("DEBUG", kinds.YES_NO, "false", "Whether to tell more than users need, to find a fault.")

MOONGATE_CONFIG = Setting(
    "MOONGATE_CONFIG",
    kinds.PATH,
    "./moongate.toml",
    "The settings file; it must exist if it is named here, and cannot name itself.",
)
MOONGATE_HOME = Setting("MOONGATE_HOME", kinds.PATH, "./.moongate", "The folder where state lives.")
MOONGATE_SECRET = Setting(
    "MOONGATE_SECRET",
    optional(kinds.SECRET_TEXT),
    None,
    "A passphrase that seals the logins kept in MOONGATE_HOME; without the same one they cannot be read again.",
)
NODE_ENV = Setting(
    "NODE_ENV",
    kinds.ANY_TEXT,
    "",
    "With development the server starts anew when its code changes; all else is ignored.",
)

SECTIONS: Final = (
    Section(
        "Accounts",
        (KIMI_API_KEY, KIMI_BASE_URL, KIMI_CODE_API_KEY, KIMI_API_BASE_URL, KIMI_CODE_OAUTH_HOST, USER_AGENT),
    ),
    Section(
        "Callers",
        (API_MASTER_KEY, DEFAULT_AUTHKEYS, REQUIRE_API_KEY, VALID_API_KEYS, CALLER_TOKENS, MOONGATE_PUBLIC_MODELS),
    ),
    Section("Listening", (API_HOST, API_PORT, MOONGATE_MAX_BODY, ALLOWED_ORIGINS, TRUSTED_PROXIES)),
    Section(
        "Times and retries",
        (
            REQUEST_TIMEOUT,
            MOONGATE_STALL_TIMEOUT,
            MOONGATE_TOTAL_TIMEOUT,
            MOONGATE_HEARTBEAT,
            MOONGATE_QUEUE_TIMEOUT,
            MAX_RETRIES,
            MOONGATE_BUFFERED,
        ),
    ),
    Section("Logging", (LOG_LEVEL, MOONGATE_LOG_FORMAT, DEBUG)),
    Section("Places and development", (MOONGATE_CONFIG, MOONGATE_HOME, MOONGATE_SECRET, NODE_ENV)),
)
TABLE: Final = tuple(setting for section in SECTIONS for setting in section.settings)

# What stands only in the file: the keys of each [[accounts]] and each [[models]].

ACCOUNT_NAME = Setting(
    "name", kinds.ACCOUNT_NAME, None, "What the account is called; no two may share it, in any case.", unset="required"
)
ACCOUNT_UPSTREAM = Setting("upstream", kinds.UPSTREAM, None, "The kind of account.", unset="required")
ACCOUNT_CREDENTIAL = Setting(
    "credential",
    optional(kinds.REFERENCE),
    None,
    "The key, or the environment variable or file that holds it, or the login of Kimi Code that gets it.",
    unset="required, except for openai and simulator",
)
ACCOUNT_BASE_URL = Setting(
    "base_url",
    optional(kinds.BASE_URL),
    None,
    "Where this account is spoken to.",
    unset="KIMI_BASE_URL or KIMI_API_BASE_URL, by upstream; required for openai",
)
ACCOUNT_PROVIDER = Setting(
    "provider",
    optional(kinds.ACCOUNT_NAME),
    None,
    "With upstream openai, what routes call the server; accounts of the same provider share its work.",
    unset="the account's name",
)
ACCOUNT_MAX_CONCURRENCY = Setting(
    "max_concurrency", optional(kinds.COUNT), None, "How many requests this account serves at a time.", unset="no limit"
)
ACCOUNT_RPM = Setting(
    "rpm", optional(kinds.COUNT), None, "How many requests this account serves in a minute.", unset="no limit"
)
ACCOUNT_TPM = Setting(
    "tpm", optional(kinds.COUNT), None, "How many tokens this account serves in a minute.", unset="no limit"
)
ACCOUNT_MODELS = Setting(
    "models", optional(kinds.MODEL_NAMES), None, "The only models this account is used for.", unset="all of them"
)
ACCOUNT: Final = (
    ACCOUNT_NAME,
    ACCOUNT_UPSTREAM,
    ACCOUNT_CREDENTIAL,
    ACCOUNT_BASE_URL,
    ACCOUNT_PROVIDER,
    ACCOUNT_MAX_CONCURRENCY,
    ACCOUNT_RPM,
    ACCOUNT_TPM,
    ACCOUNT_MODELS,
)

MODEL_NAME = Setting("name", kinds.MODEL_NAME, None, "What callers ask for; no two may share it.", unset="required")
MODEL_ROUTES = Setting("routes", kinds.ROUTES, None, "Who answers for it, tried in this order.", unset="required")
MODEL: Final = (MODEL_NAME, MODEL_ROUTES)
