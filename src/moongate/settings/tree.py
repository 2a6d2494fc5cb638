"""The settings as the rest of the gateway sees them: frozen, complete, and grouped by what they are about."""

from dataclasses import dataclass
from pathlib import Path

from moongate.core.hosts import Network
from moongate.core.level import Level
from moongate.core.sealed import Sealed
from moongate.settings.kinds import Citations, LogFormat, UpstreamName, WebDialect


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSetting:
    name: str
    """In lower case, and no other account's."""
    upstream: UpstreamName
    credential: Sealed | None
    """Empty for a server that needs none; None where `login` is used."""
    base_url: str | None
    """None only for the simulator, where it means the built-in one."""
    auth_url: str | None = None
    """Where a web token is renewed; None for all upstreams but kimi-web."""
    dialect: WebDialect = "auto"
    """What a web account is spoken to in."""
    login: str | None = None
    """Kept in this file of the home's `credentials`, without its `.json`."""
    credential_file: Path | None = None
    """Where the credential was read, if in a file of its own."""
    provider: str | None = None
    """What routes call the server; None for all upstreams but openai."""
    max_concurrency: int | None = None
    rpm: int | None = None
    """Requests a minute."""
    tpm: int | None = None
    """Tokens a minute."""
    models: tuple[str, ...] = ()
    """Serve only these; empty is all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSetting:
    name: str
    routes: tuple[str, ...]
    """Each `upstream/model`, to be tried in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    master_key: Sealed | None
    default_keys: tuple[Sealed, ...]
    valid_keys: tuple[Sealed, ...]
    required: bool
    tokens_accepted: bool
    public_models: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Kimi's web site: where it is, where its tokens are renewed, for callers who bring one."""

    base_url: str
    auth_url: str
    dialect: WebDialect
    citations: Citations


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The third-party site. `length` in characters, `pace` in seconds; `by_scraper`: None is where it can be."""

    length: int
    pace: float
    by_scraper: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """`idle` in seconds. `by_user`: a request's `user` names a conversation. `database`: an address with a password in
    it; None for a file in the home."""

    idle: float
    most: int
    by_user: bool
    database: Sealed | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    host: str
    port: int
    max_body: int
    allowed_origins: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """In seconds; None is no limit."""

    first_byte_stream: float
    first_byte_whole: float
    stall: float
    total: float | None
    heartbeat: float | None
    queue: float
    """For an account, where all are busy or resting; 0 is not at all."""
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    level: Level
    format: LogFormat
    debug: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    accounts: tuple[AccountSetting, ...]
    platform_url: str
    """Where the platform is, for callers who bring a key of it; it ends in `/v1`."""
    code_url: str
    """Where Kimi Code is, likewise."""
    code_oauth_host: str
    """Where logins of Kimi Code are granted and renewed."""
    web: Web
    site: Site
    sessions: Sessions
    models: tuple[RouteSetting, ...]
    callers: Callers
    listen: Listen
    deadlines: Deadlines
    buffered: bool
    """Answers are held back until they are complete."""
    log: Log
    home: Path
    secret: Sealed | None
    """Seals the logins kept in the home."""
    user_agent: str
    unsupported: tuple[str, ...]
    """Variables that are set and known from other gateways, and mean nothing here."""
    reload: bool
    sources: tuple[Path, ...]
    """Files and folders whose change would change the settings, whether or not they exist."""
