"""What was appended is there after any end of the process; damage costs what is damaged, and says so."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from moongate.conversations.record import Advanced, Change, Key, Removed, Said
from moongate.core.turn import Anchor
from moongate.storage.outbox import BATCH_MOST, BATCH_SIZE, Outbox
from moongate.storage.segment import Numbered, framed, frames
from storage.disks import no_file_beyond

KEY = Key("0f" * 16, "one")
ANCHOR = Anchor("kimi-web", "first", "chat-1", "message-1", 2)


def change(number: int, body: str = "") -> Change:
    if number % 5 == 0:
        return Removed(KEY, number)
    said = (Said("openai-chat", b"%d" % number), Said("openai-chat", body.encode()))
    return Advanced(KEY, number, number % 3, said, ANCHOR if number % 2 else None)


@contextmanager
def outbox(folder: Path, segment_size: int = 2**24) -> Iterator[Outbox]:
    opened = Outbox(folder, segment_size)
    try:
        yield opened
    finally:
        opened.close()


def fill(folder: Path, count: int, segment_size: int = 2**24) -> list[Numbered]:
    with outbox(folder, segment_size) as box:
        return [(box.append(one), one) for one in (change(number) for number in range(1, count + 1))]


def pending(folder: Path) -> list[Numbered]:
    with outbox(folder) as box:
        return [*box.pending()]


def logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def test_what_is_appended_is_pending_in_order_here_and_after_a_restart(tmp_path: Path) -> None:
    with outbox(tmp_path) as box:
        appended = [(box.append(one), one) for one in (change(number) for number in range(1, 8))]
        assert [*box.pending()] == appended
        assert box.last == box.backlog == 7
    assert [number for number, _ in appended] == [1, 2, 3, 4, 5, 6, 7]
    assert pending(tmp_path) == appended


def test_it_is_the_owners_alone(tmp_path: Path) -> None:
    fill(tmp_path / "home" / "outbox", 1)
    with outbox(tmp_path / "home" / "outbox") as box:
        box.append(change(2))
        box.acknowledge(1)
    for path in (tmp_path / "home" / "outbox").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "home" / "outbox").stat().st_mode) == 0o700


def test_numbers_go_on_after_a_restart_also_when_nothing_is_left(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with outbox(tmp_path) as box:
        assert box.append(change(4)) == 4
        box.acknowledge(4)
        assert (box.backlog, logs(tmp_path)) == (0, [])
    with outbox(tmp_path) as box:
        assert box.append(change(5)) == 5
        assert [number for number, _ in box.pending()] == [5]


def test_what_is_acknowledged_is_not_pending_here_or_after_a_restart(tmp_path: Path) -> None:
    appended = fill(tmp_path, 6)
    with outbox(tmp_path) as box:
        box.acknowledge(4)
        box.acknowledge(2)
        assert [*box.pending()] == appended[4:]
        assert box.backlog == 2
    assert pending(tmp_path) == appended[4:]


def test_files_are_bounded_and_deleted_once_all_in_them_is_acknowledged(tmp_path: Path) -> None:
    appended = fill(tmp_path, 40, segment_size=1000)
    files = logs(tmp_path)
    assert len(files) > 4
    assert all(path.stat().st_size < 1300 for path in files)
    with outbox(tmp_path) as box:
        box.acknowledge(30)
        assert 0 < len(logs(tmp_path)) < len(files) / 2
        assert [*box.pending()] == appended[30:]


def test_a_change_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    large = change(1, "x" * 100_000)
    with outbox(tmp_path, segment_size=1000) as box:
        for one in (large, change(2), large):
            box.append(one)
    assert [one for _, one in pending(tmp_path)] == [large, change(2), large]
    assert len(logs(tmp_path)) == 2


def test_a_batch_is_bounded_in_number_and_in_size(tmp_path: Path) -> None:
    with outbox(tmp_path) as box:
        for number in range(1, BATCH_MOST + 11):
            box.append(Removed(KEY, number))
        assert [number for number, _ in box.batch()] == [*range(1, BATCH_MOST + 1)]
        assert len(box.batch(BATCH_MOST)) == 10
        large = Advanced(KEY, 1, 0, (Said("openai-chat", b"x" * BATCH_SIZE),), None)
        for _ in range(3):
            last = box.append(large)
        assert [len(box.batch(number)) for number in range(last - 3, last + 1)] == [1, 1, 1, 0]


def test_only_one_at_a_time_has_a_folder(tmp_path: Path) -> None:
    with outbox(tmp_path), pytest.raises(RuntimeError, match="in use by another gateway"):
        Outbox(tmp_path)
    Outbox(tmp_path).close()


def test_a_folder_that_cannot_be_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("")
    with pytest.raises(OSError, match="outbox"):
        Outbox(tmp_path / "outbox")


@pytest.mark.parametrize("position", ["", "many", "-3"])
def test_without_a_position_all_is_pending_again(tmp_path: Path, position: str) -> None:
    appended = fill(tmp_path, 3)
    with outbox(tmp_path) as box:
        box.acknowledge(2)
    (tmp_path / "acknowledged").write_text(position)
    assert pending(tmp_path) == appended


# Damage.


@given(changes=st.lists(st.integers(1, 50).map(change), min_size=1, max_size=6), data=st.data())
@settings(max_examples=200, deadline=None)
def test_what_is_cut_anywhere_keeps_all_that_stands_before_the_cut(changes: list[Change], data: st.DataObject) -> None:
    parts = [framed(number, one) for number, one in enumerate(changes, 1)]
    whole = b"".join(parts)
    cut = data.draw(st.integers(0, len(whole)))
    found = [one for _, one, _ in frames(whole[:cut])]
    assert found == changes[: len(found)]
    assert sum(map(len, parts[: len(found)])) <= cut < sum(map(len, parts[: len(found) + 1])) + (cut == len(whole))


@given(data=st.binary(max_size=200))
def test_anything_at_all_is_read_without_a_crash(data: bytes) -> None:
    assert [*frames(data)] == []
    one = framed(1, change(1))
    assert [number for number, _, _ in frames(one + data)] == [1]


@pytest.mark.parametrize("lost", [1, 10, 30])
def test_a_half_written_end_is_cut_off_and_what_follows_is_kept(tmp_path: Path, lost: int) -> None:
    appended = fill(tmp_path, 4)
    (file,) = logs(tmp_path)
    os.truncate(file, file.stat().st_size - lost)
    with structlog.testing.capture_logs() as log, outbox(tmp_path) as box:
        assert [*box.pending()] == appended[:3]
        box.append(change(5))
    assert [entry["event"] for entry in log] == ["end of the outbox cut off"]
    with structlog.testing.capture_logs() as log:
        assert [one for _, one in pending(tmp_path)] == [*(one for _, one in appended[:3]), change(5)]
    assert log == []


@pytest.mark.parametrize("left", [b"\0" * 5000, b"MgO1" * 30, b"\xff"])
def test_what_a_power_cut_left_at_the_end_is_cut_off(tmp_path: Path, left: bytes) -> None:
    appended = fill(tmp_path, 4)
    (file,) = logs(tmp_path)
    with file.open("ab") as held:
        held.write(left)
    assert pending(tmp_path) == appended
    assert not [*tmp_path.glob("*.corrupt")]


def test_a_file_with_nothing_whole_in_it_goes(tmp_path: Path) -> None:
    tmp_path.joinpath("00000000000000000001.log").write_bytes(framed(1, change(1))[:-1])
    tmp_path.joinpath("00000000000000000002.log").write_bytes(b"")
    assert pending(tmp_path) == []
    assert logs(tmp_path) == []


def test_damage_in_the_middle_keeps_what_is_before_and_after_and_sets_the_file_aside(tmp_path: Path) -> None:
    fill(tmp_path, 40, segment_size=1000)
    file = logs(tmp_path)[1]
    first = int(file.stem)
    held = bytearray(file.read_bytes())
    held[len(framed(first, change(first))) + 30] ^= 1
    file.write_bytes(held)
    third = int(logs(tmp_path)[2].stem)
    with structlog.testing.capture_logs() as log:
        found = [number for number, _ in pending(tmp_path)]
    assert found == [*range(1, first + 1), *range(third, 41)]
    (aside,) = tmp_path.glob("*.corrupt")
    assert aside.read_bytes() == held
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert [(entry["event"], entry["kept_as"]) for entry in log] == [("outbox damaged", str(aside))]
    with structlog.testing.capture_logs() as log:
        assert [number for number, _ in pending(tmp_path)] == found
    assert log == []


def test_damage_done_while_it_is_open_is_an_os_error(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with outbox(tmp_path) as box:
        (file,) = logs(tmp_path)
        held = file.read_bytes()
        file.write_bytes(held[:60] + b"?" + held[61:])
        with pytest.raises(OSError, match="damaged"):
            box.batch()


# Full disks.


@pytest.mark.parametrize("room", [0, 1, 50])
def test_a_full_disk_is_an_os_error_and_leaves_nothing_half_written(tmp_path: Path, room: int) -> None:
    appended = [(1, change(1)), (2, change(2))]
    with outbox(tmp_path) as box:
        for _, one in appended:
            box.append(one)
        (file,) = logs(tmp_path)
        with no_file_beyond(file.stat().st_size + room):
            for _ in range(2):
                with pytest.raises(OSError, match=r"takes no more|too large"):
                    box.append(change(3, "x" * 100))
            assert [*box.pending()] == appended
        assert box.append(change(4)) == 3
        assert [*box.pending()] == [*appended, (3, change(4))]
    assert pending(tmp_path) == [*appended, (3, change(4))]


def test_a_disk_full_from_the_beginning_leaves_nothing(tmp_path: Path) -> None:
    with outbox(tmp_path) as box:
        with no_file_beyond(10), pytest.raises(OSError, match=r"takes no more|too large"):
            box.append(change(1))
        assert box.backlog == 0
        assert box.append(change(2)) == 1
    assert pending(tmp_path) == [(1, change(2))]


def test_what_is_acknowledged_on_a_full_disk_is_gone_all_the_same(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with outbox(tmp_path) as box:
        with no_file_beyond(0), pytest.raises(OSError, match="too large"):
            box.acknowledge(3)
        assert box.backlog == 0
    assert pending(tmp_path) == []


# Processes and threads.


def test_synced_is_synced_until_something_is_appended(tmp_path: Path) -> None:
    with outbox(tmp_path) as box:
        assert box.is_synced
        box.append(change(1))
        assert not box.is_synced
        box.sync()
        assert box.is_synced
        box.append(change(2))
        box.acknowledge(2)
        box.sync()
        assert box.is_synced


def test_one_appends_while_another_reads_and_acknowledges(tmp_path: Path) -> None:
    read: list[Change] = []
    done = threading.Event()

    def drain(box: Outbox) -> None:
        while (batch := box.batch()) or not done.is_set():
            if batch:
                read.extend(one for _, one in batch)
                box.acknowledge(batch[-1][0])
                box.sync()

    with outbox(tmp_path, segment_size=2000) as box:
        reader = threading.Thread(target=drain, args=[box])
        reader.start()
        for number in range(3000):
            box.append(change(number))
        done.set()
        reader.join()
    assert read == [change(number) for number in range(3000)]
    assert pending(tmp_path) == []


def test_whatever_a_killed_process_had_reported_is_there(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from moongate.conversations.record import Key, Removed; from moongate.storage.outbox import Outbox\n"
        "box = Outbox(Path(sys.argv[1]), 5000)\n"
        "while True: print(box.append(Removed(Key('o', 'k' * 100), box.last + 1)), flush=True)"
    )
    reported = 0
    for until in (1, 100, 700):
        writer = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout:
            lines = [writer.stdout.readline() for _ in range(until)]
            writer.kill()
            lines += [line for line in writer.stdout.read().splitlines() if line]
            writer.wait()
        assert int(lines[0]) > reported
        reported = int(lines[-2] if len(lines) > 1 else lines[-1])  # the last line may be cut
        found = pending(tmp_path)
        assert [number for number, _ in found] == [*range(1, len(found) + 1)]
        assert len(found) >= reported
        assert all(one == Removed(Key("o", "k" * 100), number) for number, one in found)
        reported = len(found)


def test_a_file_that_was_begun_and_not_written_is_not_done_with(tmp_path: Path) -> None:
    """Its change may be written the next moment, while another thread clears away what is done."""
    outbox = Outbox(tmp_path)
    outbox.append(change(1))
    outbox.acknowledge(1)
    with no_file_beyond(0), pytest.raises(OSError, match=r".*"):
        outbox.append(change(2))
    done = outbox._done(1)
    assert outbox.append(change(2)) == 2
    assert done == []
    assert [number for number, _ in outbox.pending()] == [2]
    outbox.close()
