"""One simulator and two gateways for all conformance tests: real processes, on ports of their own."""

import os
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from conformance.stand import Gateway, Witness, get
from processes import Command, moongate

MASTER_KEY = "sk-example-conformance-master"
COMMANDS = pytest.StashKey[list[Command]]()
BEGAN = pytest.StashKey[dict[str, int]]()
NODE_RAN = pytest.StashKey[int]()

_OWN_KEYS = count(1)
# What SDKs and HTTP clients would read behind our back.
_MEANT_FOR_OTHERS = ("OPENAI_", "LANGCHAIN_", "LANGSMITH_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COMMANDS] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        for command in item.config.stash[COMMANDS]:
            said = command.said(item.stash.get(BEGAN, {}).get(command.name, 0))
            report.sections.append((f"what the {command.name} said", "\n".join(said.splitlines()[-40:])))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if ran := config.stash.get(NODE_RAN, 0):
        terminalreporter.write_line(f"{ran} tests of the JavaScript SDKs ran under node")


@pytest.fixture(scope="session")
def simulator_process(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    directory = tmp_path_factory.mktemp("simulator")
    with moongate("simulator", "simulate", "--port", "0", directory=directory, environ={}) as command:
        request.config.stash[COMMANDS].append(command)
        yield command


@pytest.fixture(scope="session")
def gateway(
    request: pytest.FixtureRequest, simulator_process: Command, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with an account at each product and one key for its callers."""
    directory = tmp_path_factory.mktemp("gateway")
    environ = {
        "KIMI_API_KEY": "sk-example-conformance-platform",
        "KIMI_BASE_URL": f"{simulator_process.url}/v1",
        "KIMI_CODE_API_KEY": "sk-kimi-example-conformance-code",
        "KIMI_API_BASE_URL": f"{simulator_process.url}/coding",
        "API_MASTER_KEY": MASTER_KEY,
        "MOONGATE_HOME": str(directory / "home"),
    }
    with moongate("gateway", "serve", "--port", "0", directory=directory, environ=environ) as command:
        request.config.stash[COMMANDS].append(command)
        assert get(f"{command.url}/health")["success"] is True
        yield Gateway(command, MASTER_KEY)


@pytest.fixture(scope="session")
def bare_gateway_process(
    request: pytest.FixtureRequest, simulator_process: Command, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Command]:
    directory = tmp_path_factory.mktemp("bare-gateway")
    environ = {
        "KIMI_BASE_URL": f"{simulator_process.url}/v1",
        "KIMI_API_BASE_URL": f"{simulator_process.url}/coding",
        "KIMI_WEB_BASE_URL": simulator_process.url,
        "KIMI_WEB_AUTH_URL": simulator_process.url,
        "MOONGATE_HOME": str(directory / "home"),
        "MOONGATE_HEARTBEAT": "1",
        "MOONGATE_QUEUE_TIMEOUT": "0",  # so that a refusal is told as it comes, and its end is for the SDK to wait for
        "MOONGATE_STALL_TIMEOUT": "1",
        "MAX_RETRIES": "1",
    }
    with moongate("bare gateway", "serve", "--port", "0", directory=directory, environ=environ) as command:
        request.config.stash[COMMANDS].append(command)
        yield command


@pytest.fixture
def bare_gateway(bare_gateway_process: Command) -> Gateway:
    """A gateway without any account: in demo mode, open to callers who bring a key of the platform. It is impatient.

    Its key is a fresh account each time, so that what is refused to one test is not held against the next.
    """
    return Gateway(bare_gateway_process, f"sk-example-of-caller-{next(_OWN_KEYS)}")


@pytest.fixture
def report_javascript_tests(request: pytest.FixtureRequest) -> Callable[[int], None]:
    """Tells in the summary how many tests stand behind one."""

    def report(ran: int) -> None:
        request.config.stash[NODE_RAN] = ran

    return report


@pytest.fixture
def witness(simulator_process: Command) -> Iterator[Witness]:
    witness = Witness(simulator_process.url)
    yield witness
    witness.forget_queue()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """SDKs are told everything by the test and nothing by the machine."""
    for name in os.environ:
        if name.upper().startswith(_MEANT_FOR_OTHERS):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def nothing_breaks_inside(request: pytest.FixtureRequest) -> Iterator[None]:
    """No process may trip over a request, whatever its caller was told."""
    commands = request.config.stash[COMMANDS]
    began = request.node.stash[BEGAN] = {command.name: command.output.stat().st_size for command in commands}
    yield
    for command in commands:
        said = command.said(began.get(command.name, 0))
        assert "Traceback" not in said, f"the {command.name} tripped"
        assert command.process.poll() is None, f"the {command.name} ended"
