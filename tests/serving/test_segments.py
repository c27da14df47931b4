"""What is read back from a segment that was written whole, cut off, or changed."""

import pytest

from keepwell.errors import JournalCorrupt, StorageUnavailable
from keepwell.serving.segments import MAGIC, Segment, discard, end_mark, pack, read

RECORDS = [b"first", b"", b"\0\0\0\0", b"a longer one, with \n and \0 in it"]
FRAMES = [MAGIC, *map(pack, RECORDS)]
CONTENT = b"".join(FRAMES)
SEALED = CONTENT + end_mark(len(RECORDS))
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


@pytest.mark.parametrize(("content", "suffix"), [(SEALED, ".sealed"), (CONTENT, ".open"), (SEALED, ".open")])
def test_a_whole_segment_gives_its_records_in_order(tmp_path, content, suffix):
    assert list(read(segment(tmp_path, content, suffix))) == RECORDS


def test_wherever_a_dead_writer_was_cut_off_the_whole_records_are_read(tmp_path):
    for length in range(len(SEALED)):
        whole = max(sum(end <= length for end in ENDS) - 1, 0)
        assert list(read(segment(tmp_path, SEALED[:length], ".open"))) == RECORDS[:whole], length


@pytest.mark.parametrize("content", [CONTENT, SEALED], ids=["last record", "end mark"])
def test_zeros_behind_what_a_dead_writer_wrote_last_are_a_torn_tail(tmp_path, content):
    assert list(read(segment(tmp_path, content + bytes(5000), ".open"))) == RECORDS


def test_a_sealed_segment_that_became_shorter_is_corrupt_also_when_cut_between_two_records(tmp_path):
    for length in range(len(SEALED)):
        found, refusal = read_until_refused(segment(tmp_path, SEALED[:length], ".sealed"))
        whole = max(sum(end <= length for end in ENDS) - 1, 0)
        assert (found, refusal.facts["segment"]) == (RECORDS[:whole], "w-00000001"), length


@pytest.mark.parametrize(
    "content",
    [
        CONTENT + end_mark(3),
        CONTENT + end_mark(5),
        b"".join(FRAMES[:3] + FRAMES[4:]) + end_mark(4),
        SEALED + b"x",
        SEALED + pack(b"one more"),
        MAGIC + pack(b"first") + SEALED.removeprefix(MAGIC),
    ],
    ids=["one too few", "one too many", "a record was cut out", "a byte behind it", "a record behind it", "a record was put in"],
)
@pytest.mark.parametrize("suffix", [".sealed", ".open"])
def test_an_end_mark_must_count_right_and_be_the_end(tmp_path, content, suffix):
    read_until_refused(segment(tmp_path, content, suffix))


@pytest.mark.parametrize(("content", "suffix"), [(SEALED, ".sealed"), (CONTENT, ".open"), (SEALED, ".open")])
def test_every_flipped_bit_is_reported_after_the_whole_records_before_it(tmp_path, content, suffix):
    for place in range(len(content) * 8):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        found, refusal = read_until_refused(segment(tmp_path, bytes(changed), suffix))
        whole = max(sum(end <= place // 8 for end in ENDS) - 1, 0)
        assert (found, refusal.facts["whole"]) == (RECORDS[:whole], whole), place


def test_the_refusal_of_a_changed_segment_says_where_and_what_to_do(tmp_path):
    changed = SEALED.replace(b"longer", b"shorty")
    with pytest.raises(JournalCorrupt, match=f"changed on disk at byte {ENDS[3]}; the 3 records before it are whole.*Restore"):
        list(read(segment(tmp_path, changed, ".sealed")))


def test_a_missing_segment_is_unavailable_not_empty(tmp_path):
    with pytest.raises(StorageUnavailable, match="w-00000001"):
        list(read(Segment("w-00000001", tmp_path / "w-00000001.sealed")))


def test_discarding_twice_is_no_error(tmp_path):
    one = segment(tmp_path, SEALED, ".sealed")
    discard(one)
    discard(one)
    assert not one.path.exists()
