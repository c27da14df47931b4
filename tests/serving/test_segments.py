"""What is read back from a segment that was written whole, cut off, or changed."""

import pytest

from keepwell.errors import JournalCorrupt, StorageUnavailable
from keepwell.serving.segments import MAGIC, Segment, discard, pack, read

RECORDS = [b"first", b"", b"\0\0\0\0", b"a longer one, with \n and \0 in it"]
FRAMES = [MAGIC, *map(pack, RECORDS)]
CONTENT = b"".join(FRAMES)
ENDS = [sum(map(len, FRAMES[: n + 1])) for n in range(len(FRAMES))]


def segment(folder, content, suffix):
    path = folder / f"w-00000001{suffix}"
    path.write_bytes(content)
    return Segment("w-00000001", path)


def read_until_refused(one):
    found = []
    with pytest.raises(JournalCorrupt) as refusal:
        found.extend(read(one))
        pytest.fail("was read without a refusal")
    return found, refusal.value


@pytest.mark.parametrize("suffix", [".sealed", ".open"])
def test_a_whole_segment_gives_its_records_in_order(tmp_path, suffix):
    assert list(read(segment(tmp_path, CONTENT, suffix))) == RECORDS


def test_wherever_a_dead_writer_was_cut_off_the_whole_records_are_read(tmp_path):
    for length in range(len(CONTENT)):
        whole = max(sum(end <= length for end in ENDS) - 1, 0)
        assert list(read(segment(tmp_path, CONTENT[:length], ".open"))) == RECORDS[:whole], length


def test_zeros_behind_a_dead_writers_last_record_are_a_torn_tail(tmp_path):
    assert list(read(segment(tmp_path, CONTENT + bytes(5000), ".open"))) == RECORDS


def test_a_sealed_segment_that_became_shorter_is_corrupt(tmp_path):
    for length in set(range(len(CONTENT))) - set(ENDS):
        _, refusal = read_until_refused(segment(tmp_path, CONTENT[:length], ".sealed"))
        assert refusal.facts["segment"] == "w-00000001"


@pytest.mark.parametrize("suffix", [".sealed", ".open"])
def test_every_flipped_bit_is_reported_after_the_whole_records_before_it(tmp_path, suffix):
    for place in range(len(CONTENT) * 8):
        changed = bytearray(CONTENT)
        changed[place // 8] ^= 1 << place % 8
        found, refusal = read_until_refused(segment(tmp_path, bytes(changed), suffix))
        whole = max(sum(end <= place // 8 for end in ENDS) - 1, 0)
        assert (found, refusal.facts["whole"]) == (RECORDS[:whole], whole), place


def test_the_refusal_of_a_changed_segment_says_where_and_what_to_do(tmp_path):
    changed = CONTENT.replace(b"longer", b"shorty")
    with pytest.raises(JournalCorrupt, match=f"changed on disk at byte {ENDS[3]}; the 3 records before it are whole.*Restore"):
        list(read(segment(tmp_path, changed, ".sealed")))


def test_a_missing_segment_is_unavailable_not_empty(tmp_path):
    with pytest.raises(StorageUnavailable, match="w-00000001"):
        list(read(Segment("w-00000001", tmp_path / "w-00000001.sealed")))


def test_discarding_twice_is_no_error(tmp_path):
    one = segment(tmp_path, CONTENT, ".sealed")
    discard(one)
    discard(one)
    assert not one.path.exists()
