"""The JavaScript SDKs. Their tests are in the folder `node`, pinned by its lock file, and run under `node --test`."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from conformance.stand import Gateway
from processes import Command

FOLDER = Path(__file__).parent / "node"
LOCK = FOLDER / "package-lock.json"
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"
OLDEST_NODE = 20
MACHINE = dict(os.environ)
"""With whatever npm needs to reach its registry."""


def run(*command: str, environ: Mapping[str, str], timeout: float) -> str:
    """What it printed. Fails with that if it fails or takes too long."""
    try:
        done = subprocess.run(
            command, cwd=FOLDER, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout
        )
    except subprocess.TimeoutExpired as slow:
        pytest.fail(f"{' '.join(command)} took longer than {timeout:g} s:\n{(slow.stdout or b'').decode()}")
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
    return said


@pytest.fixture(scope="session")
def node() -> str:
    """The program, with the SDKs installed for it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no node with npm on this machine")
    version = run(node, "--version", environ=MACHINE, timeout=20).strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"the JavaScript SDKs need Node {OLDEST_NODE}, this is {version}")
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
        run(npm, "ci", environ=MACHINE, timeout=200)
    return node


@pytest.mark.timeout(300)
def test_the_javascript_sdks_work(
    node: str,
    gateway: Gateway,
    bare_gateway: Gateway,
    simulator_process: Command,
    report_javascript_tests: Callable[[int], None],
) -> None:
    files = sorted(path.name for path in FOLDER.glob("*.test.mjs"))
    environ = {
        "PATH": MACHINE["PATH"],
        "HOME": MACHINE.get("HOME", "/"),
        "MOONGATE_URL": gateway.url,
        "MOONGATE_KEY": gateway.key,
        "MOONGATE_BARE_URL": bare_gateway.url,
        "SIMULATOR_URL": simulator_process.url,
    }
    said = run(node, "--test", "--test-reporter=tap", *files, environ=environ, timeout=240)
    counted = {
        name: int(number) for name, number in re.findall(r"^# (tests|pass|skipped|todo) (\d+)$", said, re.MULTILINE)
    }
    report_javascript_tests(counted["tests"])
    assert counted["tests"] >= len(files) > 0
    assert counted == {"tests": counted["tests"], "pass": counted["tests"], "skipped": 0, "todo": 0}


def test_the_javascript_sdks_are_pinned_and_bound_to_no_registry() -> None:
    wanted = json.loads((FOLDER / "package.json").read_text("utf-8"))["dependencies"]
    packages = json.loads(LOCK.read_text("utf-8"))["packages"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in package for path, package in packages.items() if path)
    assert not any("resolved" in package for package in packages.values())
