"""Files are whole or not there, and nobody else's to read."""

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from moongate.storage.files import ABANDONED, private_folder, write_private

LARGE = 2_000_000


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_and_the_folders_above_it_are_the_owners_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "a" / "b" / "c.json", b"x")
    assert mode(tmp_path / "a" / "b" / "c.json") == 0o600
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [0o700, 0o700]


def test_a_file_that_others_could_read_is_replaced_by_one_they_cannot(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    private_folder(tmp_path / "home" / "credentials")
    assert [mode(tmp_path / "home"), mode(tmp_path / "home" / "credentials")] == [0o755, 0o700]


def test_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for data in (b"1", b"2"):
        write_private(tmp_path / "c.json", data)
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "c.json").mkdir()
    (tmp_path / "c.json" / "inner").write_text("kept")
    with pytest.raises(OSError, match=r"c\.json"):
        write_private(tmp_path / "c.json", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
    assert (tmp_path / "c.json" / "inner").read_text() == "kept"


def test_what_a_killed_writer_left_is_swept_up_once_it_is_surely_nobodys(tmp_path: Path) -> None:
    old, young, foreign = tmp_path / ".c.json.01.new", tmp_path / ".c.json.02.new", tmp_path / ".d.json.01.new"
    for path in (old, young, foreign):
        path.write_text("half")
    for path in (old, foreign):
        os.utime(path, (0, time.time() - ABANDONED - 1))
    write_private(tmp_path / "c.json", b"x")
    assert not old.exists()
    assert young.exists()
    assert foreign.exists()


def test_readers_see_one_whole_version_or_the_other_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_private(path, b"a" * LARGE)
    done = threading.Event()
    seen = set()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for letter in b"bcdefgh":
        write_private(path, bytes([letter]) * LARGE)
    done.set()
    reader.join()
    assert {(len(data), len(set(data))) for data in seen} == {(LARGE, 1)}


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_private(path, b"0" * LARGE)
    program = (
        "import sys; from pathlib import Path; from moongate.storage.files import write_private\n"
        "print('ready', flush=True)\n"
        f"while True:\n  for n in range(10): write_private(Path(sys.argv[1]), str(n).encode() * {LARGE})"
    )
    for pause in (0.0, 0.02, 0.05):
        writer = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout:
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(pause)
            writer.kill()
            writer.wait()
        data = path.read_bytes()
        assert (len(data), len(set(data))) == (LARGE, 1)
