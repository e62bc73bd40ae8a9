"""The golden store: written byte for byte as ever, read as ever, and just what the format page says."""

from __future__ import annotations

import json
import shutil
import struct
from hashlib import blake2b
from pathlib import Path

import google_crc32c
import msgspec
import pytest

from tests.golden.make import START, events, make
from walnut.log.file_log import FileLog
from walnut.log.verify import verify_folder
from walnut.system import System

GOLDEN = Path(__file__).parent / "format-1"
SEGMENT = "log/seg-000000000001.g0"
FILES = ("FORMAT", "keys", "log/mark", f"{SEGMENT}.idx")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the golden store; the zeros behind its frames are not kept in the repository."""
    folder = tmp_path / "store"
    shutil.copytree(GOLDEN, folder)
    segment = folder / SEGMENT
    segment.write_bytes(segment.read_bytes().ljust(1024 * 1024, b"\0"))
    return folder


def test_L2_the_golden_store_is_written_byte_for_byte(tmp_path: Path) -> None:
    make(str(tmp_path / "store"))
    for file in FILES:
        assert (tmp_path / "store" / file).read_bytes() == (GOLDEN / file).read_bytes(), file
    written = (tmp_path / "store" / SEGMENT).read_bytes()
    assert written == (GOLDEN / SEGMENT).read_bytes().ljust(1024 * 1024, b"\0")


def test_L2_the_golden_store_is_read_and_goes_on(store: Path) -> None:
    assert verify_folder(System(), str(store)).verdict == "intact: 6 events in 1 segment, 1,520 bytes"
    drafts = [draft for batch in events() for transaction in batch.transactions for draft in transaction]
    with FileLog.open(System(), str(store)) as log:
        found = list(log.read())
        assert [event.content for event in found] == [draft.content for draft in drafts]
        assert [event.kind for event in found] == [
            "memory.write", "memory.update", "memory.delete", "memory.update", "memory.delete", "memory.update",
        ]  # fmt: skip
        assert [event.txn for event in found] == [1, 2, 3, 4, 4, 6]
        assert [event.before_lsn for event in found] == [None, 1, 2, 3, 4, 5]
        assert log.append(events()[0])[0].lsn == 7
        assert log.append(events()[1])[0].replayed


def frames(data: bytes) -> list[tuple[tuple[object, ...], bytes, bytes]]:
    """The segment taken apart with the numbers of docs/reference/format.md, without Walnut's own reader."""
    log_id = data[32:48]
    found, at, chain = [], 512, data[88:120]
    while at < len(data) and data[at : at + 4] == bytes.fromhex("f5574631"):
        header = struct.unpack_from("<4sIIIQIBBHQQQII32s", data, at)
        start = google_crc32c.value(log_id + struct.pack("<QQ", 1, at))
        body = data[at + 96 : at + 96 + header[3]]
        assert google_crc32c.extend(start, data[at + 8 : at + 96]) == header[1]
        assert google_crc32c.extend(start, body) == header[2]
        assert header[14] == chain
        envelopes = body[8 : 8 + int.from_bytes(body[:4], "little")]
        chain = blake2b(data[at + 12 : at + 96] + envelopes, digest_size=32).digest()
        found.append((header, envelopes, body[8 + len(envelopes) :]))
        at += 96 + header[3]
    return found


def test_L2_the_bytes_are_those_of_the_format_page() -> None:
    data = (GOLDEN / SEGMENT).read_bytes()
    assert data[:8] == b"WALNUTSG"
    assert google_crc32c.value(data[12:512]) == int.from_bytes(data[8:12], "little")
    assert struct.unpack_from("<HHQQ", data, 12) == (1, 512, 0, 0)
    assert struct.unpack_from("<QIIQQQ", data, 48)[:2] == (1, 0)
    lsn = 1
    for header, envelopes, contents in frames(data):
        assert header[4] == lsn
        at = 0
        for envelope in msgspec.msgpack.decode(envelopes):
            size, kind, codec, flags, key = struct.unpack_from("<IBBHI", contents, at)
            assert (kind, codec, flags, key) == (1, 0, 0, 0)
            salt, content = contents[at + 12 : at + 28], contents[at + 28 : at + 28 + size]
            assert blake2b(salt + content, digest_size=32).digest() == envelope[5]
            assert len(msgspec.msgpack.decode(content)) == 11
            at += 28 + size
            lsn += 1
        assert set(contents[at:]) == {0xE5}
        assert 1 <= len(contents[at:]) <= 8
    assert lsn == 7


def test_the_mark_and_the_two_lines_are_those_of_the_format_page() -> None:
    mark = (GOLDEN / "log/mark").read_bytes()
    slots = [mark[at : at + 128] for at in (0, 2048)]
    newest = max(slots, key=lambda slot: struct.unpack_from("<Q", slot, 8))
    assert google_crc32c.value(newest[4:]) == int.from_bytes(newest[:4], "little")
    assert struct.unpack_from("<QQQ", newest, 32) == (1, 512 + 1520, 6)
    assert struct.unpack_from("<I", newest, 120) == (1,)
    body, _, crc = (GOLDEN / "FORMAT").read_bytes().rstrip().rpartition(b" ")
    assert int(crc, 16) == google_crc32c.value(body)
    assert json.loads(body)["created_at"] > START


def test_the_sidecar_is_that_of_the_format_page() -> None:
    data = (GOLDEN / f"{SEGMENT}.idx").read_bytes()
    magic, crc = struct.unpack_from("<8sI", data)
    assert (magic, crc) == (b"WALNUTIX", google_crc32c.value(data[12:]))
    end, lsn, _ = struct.unpack_from("<QQQ", data, 32)
    assert (end, lsn) == (512 + 1520, 6)
    counts = struct.unpack_from("<QQQ", data, 88)
    assert counts == (3, 1, 6)
    assert len(data) == 112 + 16 * 3 + 24 * 1 + 25 * 6
