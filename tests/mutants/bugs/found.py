"""Bugs that were there once, and that real machines found: seeded again, so that they stay away."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_FILES = "tests/contract/test_views_files.py"

BUGS = (
    Mutant(
        "a-moved-store-makes-segments-at-its-old-path",
        "log/writer.py",
        "        if not self.lock.in_place():\n",
        "        if False:\n",
        "tests/crash/test_strays.py::"
        "test_L1_a_store_moved_while_it_is_open_keeps_what_was_acknowledged_and_spoils_no_other",
        "L1",
        "new segments of a store that was moved are made where it was, and nobody finds them",
    ),
    Mutant(
        "a-map-of-a-hole",
        "log/shared.py",
        "            system.write_at(fd, bytes(SIZE - size), size)\n",
        "            system.truncate(fd, SIZE)\n",
        "tests/crash/test_faults.py::test_L8_a_file_that_is_mapped_has_its_room_before",
        "L8",
        "who stores to the map of a hole is killed when the disk is full",
    ),
    Mutant(
        "another-process-s-segment-that-can-t-be-read-is-a-bare-error",
        "log/segments.py",
        "            if isinstance(error, OSError):\n                raise failures.storage_error",
        "            if False:\n                raise failures.storage_error",
        "tests/crash/test_faults.py::"
        "test_L8_a_disk_that_refuses_to_show_a_segment_that_another_process_began_is_a_clear_refusal",
        "L8",
        "a disk that can't be read is an error that says neither where nor what to do",
    ),
    Mutant(
        "a-view-is-noted-as-written-in-its-log-only",
        "views/applier.py",
        "        if self.note_opened(db):\n            raise",
        "        if False:\n            raise",
        f"{_FILES}::test_V4_before_a_closed_file_is_written_to_the_file_itself_says_so_on_disk",
        "V4",
        "after a power cut the old pages of the file say that it was closed",
    ),
    Mutant(
        "a-view-is-called-closed-before-it-is-on-disk",
        "views/applier.py",
        "        numbers = (OPENED, OPENED + 1, OPENED)\n",
        "        numbers = (OPENED, OPENED, OPENED)\n",
        f"{_FILES}::test_V4_whenever_a_file_is_noted_as_open_it_changes_so_that_it_is_synced",
        "V4",
        "SQLite syncs nothing where nothing changes, and the file is called closed",
    ),
    Mutant(
        "damage-that-is-no-text-is-a-bare-error",
        "views/damage.py",
        "UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)",
        "UNREADABLE = (sqlite3.DatabaseError,)",
        f"{_FILES}::test_V4_a_schema_whose_damage_is_no_text_is_damage",
        "V4",
        "damage in a schema ends the read with an error of Python's",
    ),
)
