"""What was measured once is known for good: after reopening, after a kill in the middle of a line."""

from __future__ import annotations

import pytest

from leanformer.search.journal import Journal, mend

KEY = ((1, 2, 3), "zero-shot", 128)
OTHER = ((3, 2, 1), "repaired", 512)


def test_measurements_survive_reopening(tmp_path):
    path = tmp_path / "deep" / "journal.log"
    journal = Journal(path, "search")
    assert journal.get(KEY) is None
    journal.record(KEY, 0.1 + 0.2, 1.5)
    journal.record(OTHER, 0.7, 2.0)
    again = Journal(path, "search")
    assert again.get(KEY) == journal.get(KEY) == {"value": 0.1 + 0.2, "seconds": 1.5}  # to the last bit
    assert again.get(OTHER) == {"value": 0.7, "seconds": 2.0}
    assert again.seconds == 3.5


def test_fidelity_and_rows_are_part_of_the_key(tmp_path):
    journal = Journal(tmp_path / "journal.log", "search")
    journal.record(KEY, 0.5, 1.0)
    assert journal.get((KEY[0], "repaired", 128)) is None
    assert journal.get((KEY[0], "zero-shot", 512)) is None


def test_searches_in_one_file_are_apart(tmp_path):
    Journal(tmp_path / "journal.log", "first").record(KEY, 0.5, 1.0)
    assert Journal(tmp_path / "journal.log", "second").get(KEY) is None
    assert Journal(tmp_path / "journal.log", "first").get(KEY) is not None


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_a_half_written_last_line_is_cut_off(tmp_path, cut):
    path = tmp_path / "journal.log"
    journal = Journal(path, "search")
    journal.record(KEY, 0.5, 1.0)
    journal.record(OTHER, 0.7, 2.0)
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal(path, "search")
    assert again.get(KEY) == {"value": 0.5, "seconds": 1.0}
    assert again.get(OTHER) is None
    again.record(OTHER, 0.7, 2.0)
    assert Journal(path, "search").get(OTHER) == {"value": 0.7, "seconds": 2.0}


@pytest.mark.parametrize("content", [b"", b'{"op_code": 0, "wor'])
def test_a_journal_killed_at_birth_begins_again(tmp_path, content):
    path = tmp_path / "journal.log"
    path.write_bytes(content)
    journal = Journal(path, "search")
    journal.record(KEY, 0.5, 1.0)
    assert Journal(path, "search").get(KEY) is not None


def test_a_dead_writers_lock_does_not_block(tmp_path):
    path = tmp_path / "journal.log"
    Journal(path, "search").record(KEY, 0.5, 1.0)
    lock = tmp_path / "journal.log.lock"
    lock.symlink_to(path)  # as Optuna makes it
    Journal(path, "search").record(OTHER, 0.7, 2.0)
    assert not lock.is_symlink()


def test_mending_an_absent_journal_makes_none(tmp_path):
    mend(tmp_path / "journal.log")
    assert list(tmp_path.iterdir()) == []
