"""Each closed segment is kept once, whoever ships and whatever crashes."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from keepwell.errors import JournalCorrupt, StorageUnavailable
from keepwell.serving import shipping
from keepwell.serving.journal import Journal
from keepwell.serving.segments import closed_segments
from keepwell.serving.shipping import ship

SOURCES = Path(shipping.__file__).parents[2]
SOON_S = 10


def fill(folder, *segments):
    """One sealed segment for each list of records, by a writer that then went away."""
    with Journal(folder) as journal:
        for records in segments:
            journal.append_many(records).result(SOON_S)
            journal.roll()


def test_segments_are_kept_in_order_and_then_removed(tmp_path):
    fill(tmp_path, [b"a", b"b"], [b"c"])
    ids = [segment.id for segment in closed_segments(tmp_path)]
    kept = []
    assert ship(tmp_path, lambda *segment: kept.append(segment)) == 3
    assert kept == [(ids[0], [b"a", b"b"]), (ids[1], [b"c"])]
    assert list(tmp_path.iterdir()) == []
    assert ship(tmp_path, lambda *segment: pytest.fail("kept twice")) == 0


def test_a_living_writer_goes_on_while_its_sealed_segments_are_shipped(tmp_path):
    kept = []
    with Journal(tmp_path) as journal:
        journal.append(b"a").result(SOON_S)
        journal.roll()
        journal.append(b"b").result(SOON_S)
        assert ship(tmp_path, lambda _, records: kept.extend(records)) == 1
        journal.append(b"c").result(SOON_S)
    assert ship(tmp_path, lambda _, records: kept.extend(records)) == 2
    assert kept == [b"a", b"b", b"c"]


def test_a_segment_whose_keeping_failed_stays_for_the_next_time(tmp_path):
    fill(tmp_path, [b"a"], [b"b"])

    def refuse_b(_, records):
        if records == [b"b"]:
            raise StorageUnavailable("table", "no answer")

    with pytest.raises(StorageUnavailable, match="no answer"):
        ship(tmp_path, refuse_b)
    kept = []
    assert ship(tmp_path, lambda _, records: kept.extend(records)) == 1
    assert kept == [b"b"]


def test_a_damaged_segment_stays_and_does_not_hold_up_the_others(tmp_path):
    fill(tmp_path, [b"a"], [b"flipped"], [b"c"])
    damaged = closed_segments(tmp_path)[1].path
    damaged.write_bytes(damaged.read_bytes().replace(b"flipped", b"fliqped"))
    kept = []
    with pytest.raises(JournalCorrupt, match=damaged.stem):
        ship(tmp_path, lambda _, records: kept.extend(records))
    assert kept == [b"a", b"c"]
    assert list(tmp_path.iterdir()) == [damaged]


def test_a_writer_that_died_before_its_first_record_leaves_nothing(tmp_path):
    (tmp_path / "w-00000001.open").write_bytes(b"KWJ")
    (tmp_path / "w.lock").touch()
    assert ship(tmp_path, lambda *segment: pytest.fail("there was nothing to keep")) == 0
    assert list(tmp_path.iterdir()) == []


def test_two_shippers_at_once_keep_each_segment_once(tmp_path):
    fill(tmp_path, *[[b"%d" % n] for n in range(20)])
    kept, both = [], threading.Barrier(2, timeout=SOON_S)

    def keep(segment_id, records):
        if len(kept) < 2:
            kept.append(records)
            both.wait()  # proves that both are in the middle of a segment
        else:
            kept.append(records)

    threads = [threading.Thread(target=ship, args=(tmp_path, keep)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    assert sorted(int(records[0]) for records in kept) == list(range(20))
    assert list(tmp_path.iterdir()) == []


DIES_AFTER_KEEPING = """
import os, signal, sys
from pathlib import Path
from keepwell.serving.shipping import ship
def keep(segment_id, records):
    os.write(1, segment_id.encode())
    os.kill(os.getpid(), signal.SIGKILL)
ship(Path(sys.argv[1]), keep)
"""


def test_a_crash_between_keeping_and_removing_ships_the_same_segment_again(tmp_path):
    fill(tmp_path, [b"a"], [b"b"])
    command = [sys.executable, "-c", DIES_AFTER_KEEPING, str(tmp_path)]
    died = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(SOURCES)}, stdout=subprocess.PIPE, timeout=60)
    kept = {}
    assert ship(tmp_path, kept.__setitem__) == 2
    assert kept[died.stdout.decode()] == [b"a"]
