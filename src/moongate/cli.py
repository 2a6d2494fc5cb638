"""The command line. Each command is a function here, and what it does a module that is imported when it is asked for:
`--help` should be quick."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from moongate import __version__

app = typer.Typer(
    name="moongate",
    help="A self-hosted gateway that puts every kind of Kimi access behind the interfaces programs already speak.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


Config = Annotated[Path | None, typer.Option("--config", help="The file of settings.", show_default="./moongate.toml")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table, for programs.")]


def main() -> None:
    app()


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"moongate {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Settings come from the command line, the environment, .env and moongate.toml, in this order."""


@app.command(
    epilog="""\b
Examples:
  moongate serve --port 9000
  KIMI_API_KEY=sk-example-key moongate serve"""
)
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one.", show_default="8000")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="The file of settings.", show_default="./moongate.toml")] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.", show_default="INFO")] = None,
) -> None:
    """Serve the gateway. Without any credential it starts in demo mode and says so."""
    from moongate import serving  # the server is heavy, and --help should be quick

    given = {"API_HOST": host, "API_PORT": port, "MOONGATE_CONFIG": config, "LOG_LEVEL": log_level}
    serving.serve({name: value for name, value in given.items() if value is not None})


@app.command(
    epilog="""\b
Example:
  moongate simulate --port 9100
  KIMI_API_KEY=sk-example-key KIMI_BASE_URL=http://127.0.0.1:9100/v1 moongate serve"""
)
def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 9100,
) -> None:
    """Serve the simulator: what Kimi's services answer, without a model, and with the faults you ask for.

    A line `simulate: {"cut_after": 3}` in the last user message scripts the reply to it.
    """
    from moongate import serving

    serving.simulate(host, port)


@app.command(
    epilog="""\b
Examples:
  moongate login kimi-code
  moongate login kimi-code --name work"""
)
def login(
    upstream: Annotated[Literal["kimi-code"], typer.Argument(help="Where to log in.")],
    name: Annotated[str, typer.Option(help="What the login, and the account that uses it, is called.")] = "kimi-code",
    config: Config = None,
) -> None:
    """Log in with a membership, by confirming a code in a browser.

    The login is kept in MOONGATE_HOME and renews itself. A login of the same name is replaced once the new one has
    succeeded. MOONGATE_SECRET seals it.
    """
    from moongate.commands import login as command

    raise typer.Exit(command.logged_in(_given(config), name))


@app.command(
    epilog="""\b
Examples:
  moongate check
  moongate check --json"""
)
def check(config: Config = None, as_json: Json = False) -> None:
    """Try every account for real, and say what is wrong with which.

    It asks each for its models, its plan or balance, and the time, and costs nothing. The exit code is 0 if all is
    well, 1 if there is trouble with an account, 2 if a setting is wrong. No gateway has to run.
    """
    from moongate.commands import check as command
    from moongate.wiring import accounts_of

    raise typer.Exit(command.checked(_given(config), accounts_of, as_json=as_json))


accounts_app = typer.Typer(
    rich_markup_mode=None,
    epilog="""\b
Examples:
  moongate accounts
  moongate accounts --json
  moongate accounts reset moonshot-1""",
)
app.add_typer(accounts_app, name="accounts")


@accounts_app.callback(invoke_without_command=True)
def accounts(context: typer.Context, config: Config = None, as_json: Json = False) -> None:
    """Show how the accounts of the running gateway fare.

    Which serve, which rest for what and until when, and what is left of plans and balances. It asks the gateway that
    runs on this machine with the same MOONGATE_HOME.
    """
    if context.invoked_subcommand is None:
        from moongate.commands import accounts as command

        raise typer.Exit(command.listed(_given(config), as_json=as_json))


@accounts_app.command(
    epilog="""\b
Example:
  moongate accounts reset moonshot-1"""
)
def reset(
    name: Annotated[str, typer.Argument(help="The account's name, as `moongate accounts` shows it.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Have an account asked again at once.

    The running gateway forgets what it holds against it.
    """
    from moongate.commands import accounts as command

    raise typer.Exit(command.reset(_given(config), name, as_json=as_json))


def _given(config: Path | None) -> dict[str, object]:
    """The settings given here. What a command logs goes beside what is asked of it, which a program may read."""
    from moongate.telemetry import log

    log.configure("ERROR", as_json=False)
    return {} if config is None else {"MOONGATE_CONFIG": config}
