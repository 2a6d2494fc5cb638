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
KIMI_TOKENS = Setting(
    "KIMI_TOKENS",
    kinds.CREDENTIALS,
    "",
    "Tokens of Kimi web accounts, refresh or access; each becomes an account kimi-web-1, kimi-web-2 …",
)
KIMI_WEB_BASE_URL = Setting(
    "KIMI_WEB_BASE_URL", kinds.BASE_URL, "https://www.kimi.com", "Where accounts of upstream kimi-web are spoken to."
)
KIMI_WEB_AUTH_URL = Setting(
    "KIMI_WEB_AUTH_URL", kinds.BASE_URL, "https://auth.kimi.com", "Where their tokens are renewed."
)
KIMI_WEB_DIALECT = Setting(
    "KIMI_WEB_DIALECT",
    kinds.WEB_DIALECT,
    "auto",
    "Which of its two languages the site is spoken to in; auto is what the site answers.",
)
KIMI_WEB_CITATIONS = Setting(
    "KIMI_WEB_CITATIONS",
    kinds.CITATIONS,
    "links",
    "What becomes of the marks for sources inside an answer: [1] in their place, nothing, or left raw.",
)
KIMI_SITE_ENABLED = Setting(
    "KIMI_SITE_ENABLED",
    kinds.YES_NO,
    "false",
    "Whether the third-party site kimi-ai.chat is used, as an account kimi-site; whoever runs it reads what is asked.",
)
KIMI_SITE_BASE_URL = Setting("KIMI_SITE_BASE_URL", kinds.BASE_URL, "https://kimi-ai.chat", "Where that site is.")
KIMI_SITE_MAX_LENGTH = Setting(
    "KIMI_SITE_MAX_LENGTH",
    kinds.COUNT,
    "1000",
    "How many characters that site takes at a time; of a longer conversation the oldest turns are left out.",
)
KIMI_SITE_PACE = Setting(
    "KIMI_SITE_PACE",
    kinds.PACE,
    "0",
    "Seconds between the pieces in which its answers, which come whole, are streamed.",
)
KIMI_SITE_CLOUDSCRAPER = Setting(
    "KIMI_SITE_CLOUDSCRAPER",
    optional(kinds.YES_NO),
    None,
    "Whether that site is spoken to by the library cloudscraper, which moongate[cloudscraper] installs.",
    unset="on where it is installed",
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

SESSION_CACHE_TTL = Setting(
    "SESSION_CACHE_TTL",
    optional(kinds.SECONDS),
    None,
    "How long a conversation is kept that nobody goes on with; once it is set, a request's user names a conversation.",
    unset="3600, and user names none",
)
MAX_SESSION_SIZE = Setting(
    "MAX_SESSION_SIZE",
    kinds.COUNT,
    "1000",
    "How many conversations are kept; the one not used for longest goes first.",
)
MOONGATE_DATABASE_URL = Setting(
    "MOONGATE_DATABASE_URL",
    optional(kinds.DATABASE_URL),
    None,
    "The database that keeps conversations.",
    unset="SQLite, `moongate.db` in MOONGATE_HOME",
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
        "Web accounts, and a site of others",
        (
            KIMI_TOKENS,
            KIMI_WEB_BASE_URL,
            KIMI_WEB_AUTH_URL,
            KIMI_WEB_DIALECT,
            KIMI_WEB_CITATIONS,
            KIMI_SITE_ENABLED,
            KIMI_SITE_BASE_URL,
            KIMI_SITE_MAX_LENGTH,
            KIMI_SITE_PACE,
            KIMI_SITE_CLOUDSCRAPER,
        ),
    ),
    Section(
        "Callers",
        (API_MASTER_KEY, DEFAULT_AUTHKEYS, REQUIRE_API_KEY, VALID_API_KEYS, CALLER_TOKENS, MOONGATE_PUBLIC_MODELS),
    ),
    Section("Conversations", (SESSION_CACHE_TTL, MAX_SESSION_SIZE, MOONGATE_DATABASE_URL)),
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
    "The key or web token, or the environment variable or file that holds it, or the login of Kimi Code that gets it.",
    unset="required, except for openai, kimi-site and simulator",
)
ACCOUNT_BASE_URL = Setting(
    "base_url",
    optional(kinds.BASE_URL),
    None,
    "Where this account is spoken to.",
    unset="the general setting of its upstream, such as KIMI_BASE_URL; required for openai",
)
ACCOUNT_AUTH_URL = Setting(
    "auth_url",
    optional(kinds.BASE_URL),
    None,
    "With upstream kimi-web, where its token is renewed.",
    unset="auth. in place of the www. of base_url, else KIMI_WEB_AUTH_URL",
)
ACCOUNT_DIALECT = Setting(
    "dialect",
    optional(kinds.WEB_DIALECT),
    None,
    "With upstream kimi-web, the language it is spoken to in.",
    unset="KIMI_WEB_DIALECT",
)
ACCOUNT_PROVIDER = Setting(
    "provider",
    optional(kinds.ACCOUNT_NAME),
    None,
    "With upstream openai, what routes call the server; accounts of the same provider share its work.",
    unset="the account's name",
)
ACCOUNT_MAX_CONCURRENCY = Setting(
    "max_concurrency",
    optional(kinds.COUNT),
    None,
    "How many requests this account serves at a time.",
    unset="1 for kimi-web and kimi-site, else no limit",
)
ACCOUNT_RPM = Setting(
    "rpm",
    optional(kinds.COUNT),
    None,
    "How many requests this account serves in a minute.",
    unset="20 for kimi-web and kimi-site, else no limit",
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
    ACCOUNT_AUTH_URL,
    ACCOUNT_DIALECT,
    ACCOUNT_PROVIDER,
    ACCOUNT_MAX_CONCURRENCY,
    ACCOUNT_RPM,
    ACCOUNT_TPM,
    ACCOUNT_MODELS,
)

MODEL_NAME = Setting("name", kinds.MODEL_NAME, None, "What callers ask for; no two may share it.", unset="required")
MODEL_ROUTES = Setting("routes", kinds.ROUTES, None, "Who answers for it, tried in this order.", unset="required")
MODEL: Final = (MODEL_NAME, MODEL_ROUTES)
