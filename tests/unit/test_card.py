"""The table of static vectors is the one its card tells of, small enough for a wheel, with its licence beside it."""

import hashlib
import re
from pathlib import Path

import pytest

import walnut

FOLDER = Path(walnut.__file__).parent / "embed" / "minilm"
CARD = (FOLDER / "CARD.md").read_text(encoding="utf-8")
HASHES = dict(re.findall(r"^\| `([\w.]+)` \|.*`([0-9a-f]{64})` \|$", CARD, re.MULTILINE))


@pytest.mark.parametrize("name", ["pieces.txt", "rows.i8", "scales.f16"])
def test_a_file_has_the_hash_that_the_card_states(name: str) -> None:
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == HASHES[name]


def test_the_table_takes_at_most_eight_megabytes_and_brings_licence_and_notice() -> None:
    assert sum((FOLDER / name).stat().st_size for name in HASHES) <= 8_000_000
    assert "Apache License" in (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert "They were changed" in (FOLDER / "NOTICE").read_text(encoding="utf-8")
