"""Bugs that were there once, and that real machines found: seeded again, so that they stay away."""

from __future__ import annotations

from tests.mutants.runner import Mutant

_FILES = "tests/contract/test_views_files.py"

FOUND = (
    Mutant(
        "a-moved-store-makes-segments-at-its-old-path",
        "log/writer.py",
        "        if not self.lock.in_place():\n",
        "        if False:\n",
        "tests/crash/test_strays.py -k moved",
    ),
    Mutant(
        "a-map-of-a-hole",
        "log/shared.py",
        "            system.write_at(fd, bytes(SIZE - size), size)\n",
        "            system.truncate(fd, SIZE)\n",
        "tests/crash/test_faults.py -k has_its_room",
    ),
    Mutant(
        "another-process-s-segment-that-can-t-be-read-is-a-bare-error",
        "log/segments.py",
        "            if isinstance(error, OSError):\n                raise failures.storage_error",
        "            if False:\n                raise failures.storage_error",
        "tests/crash/test_faults.py -k refuses_to_show",
    ),
    Mutant(
        "a-view-is-noted-as-written-in-its-log-only",
        "views/applier.py",
        "        if self.note_opened(db):\n            raise",
        "        if False:\n            raise",
        f"{_FILES} -k file_itself",
    ),
    Mutant(
        "a-view-is-called-closed-before-it-is-on-disk",
        "views/applier.py",
        "        numbers = (OPENED, OPENED + 1, OPENED)\n",
        "        numbers = (OPENED, OPENED, OPENED)\n",
        f"{_FILES} -k whenever_a_file",
    ),
    Mutant(
        "damage-that-is-no-text-is-a-bare-error",
        "views/damage.py",
        "UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)",
        "UNREADABLE = (sqlite3.DatabaseError,)",
        f"{_FILES} -k no_text",
    ),
)
