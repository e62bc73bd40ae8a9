"""Decoders of the log: frames and what is in them, segments, sidecars, the shared files, keys, repairs."""

from __future__ import annotations

from collections.abc import Iterator

import google_crc32c
import msgspec

from tests.fuzz import stores
from tests.fuzz.target import Target
from tests.golden.make import FixedSystem, events
from walnut.errors import LogCorruption, WalnutError
from walnut.log import frame, index, keys, segment
from walnut.log.file_log import FileLog
from walnut.log.repair import repair_folder
from walnut.log.shared import MARK_SLOTS
from walnut.log.verify import verify_folder
from walnut.model.event import Content

NAMES = (
    *("frame", "envelopes", "content", "segment-header", "segment-1", "segment-3", "segment-3-unmarked", "sidecar"),
    *("mark", "shared", "FORMAT", "keys", "repair", "repair-ready"),
)
LOG = bytes(range(16))
_SEED, _AT = frame.seed(LOG, 1), 512


def crc(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(4, "little")


def sealed_frame(envelopes: bytes, contents: list[frame.Sealed | None]) -> bytes:
    return frame.encode(
        envelopes=envelopes,
        contents=contents,
        first_lsn=7,
        synced_upto=6,
        recorded_at=1000,
        clock_raw=900,
        epoch=3,
        writer_id=4,
        prev_hash=bytes(32),
        crc_seed=_SEED,
        offset=_AT,
    )[0]


def _drafts() -> list[tuple[frame.Envelope, frame.Sealed]]:
    found = []
    for number, batch in enumerate(events()):
        for transaction in batch.transactions:
            for draft in transaction:
                sealed = frame.seal(draft.content, bytes([number + 1]) * 16)
                touches = b"".join(draft.touches)
                raw_id, op = bytes([number + 1]) * 16, frame.op_number(draft.op)
                envelope = frame.Envelope(raw_id, draft.kind, op, 0, touches, sealed.commitment, None, draft.idem)
                found.append((envelope, sealed))
    return found


def signed_frame(data: bytes, crc_seed: int = _SEED, offset: int = _AT) -> bytes:
    """The frame with a length that fits and both checksums made good."""
    if len(data) < frame.HEADER_SIZE + 16:
        return data
    body = data[frame.HEADER_SIZE :]
    body += bytes(-len(body) % 8)
    base = google_crc32c.extend(crc_seed, offset.to_bytes(8, "little"))
    tail: bytes = google_crc32c.extend(base, body).to_bytes(4, "little") + len(body).to_bytes(4, "little") + data[16:96]
    return frame.MAGIC + int(google_crc32c.extend(base, tail)).to_bytes(4, "little") + tail + body


def read_frame(data: bytes) -> object:
    header = frame.read_header(data, crc_seed=_SEED, offset=_AT)
    if header is None:
        return None
    body = data[frame.HEADER_SIZE : header.length]
    if not frame.body_is_whole(header, body, crc_seed=_SEED, offset=_AT):
        return None
    found = [stores.told(event) for event in frame.read_events(header, body)]
    frame.place(header, body, prev_hash=bytes(32), crc_seed=_SEED, offset=4096)
    return found


def read_envelopes(data: bytes) -> object:
    """As the envelopes of a frame, with its own contents behind them."""
    contents: list[frame.Sealed | None] = [sealed for _, sealed in _drafts()]
    return read_frame(sealed_frame(data, contents))


def read_content(data: bytes) -> object:
    content = frame.read_content(data)
    assert frame.seal(content, bytes(16)).data
    return content


def read_segment_header(data: bytes) -> object:
    return segment.decode_header(data, file="log/seg")


def sign_segment_header(data: bytes) -> bytes:
    data = data[: segment.HEADER_SIZE].ljust(segment.HEADER_SIZE, b"\0")
    return segment.MAGIC + crc(data[12:]) + data[12:]


def sign_segment(data: bytes, log_id: bytes, number: int) -> bytes:
    """Header and frames made good one after the other: checksums, chain; lengths as they are if they fit."""
    head = bytearray(sign_segment_header(data))
    parts, at, chain = [bytes(head)], segment.HEADER_SIZE, bytes(head[88:120])
    seed = frame.seed(log_id, number)
    while data[at : at + 4] == frame.MAGIC and len(data) >= at + frame.HEADER_SIZE + 16:
        length = min(int.from_bytes(data[at + 12 : at + 16], "little"), len(data) - at - frame.HEADER_SIZE)
        whole = data[at : at + 64] + chain + data[at + 96 : at + 96 + length]
        whole = signed_frame(whole, seed, at)
        parts.append(whole)
        size = min(int.from_bytes(whole[96:100], "little"), len(whole) - 104)
        chain = frame.chain(whole[:96], whole[104 : 104 + size])
        at += len(whole)
    return b"".join((*parts, data[at:]))


def _segment_target(number: int, *, with_mark: bool) -> Target:
    store = stores.log_store()
    path = stores.segments(store)[number - 1]
    size, log_id = path.stat().st_size, keys.load(FixedSystem(), str(store)).log_id
    without = ("log/*.idx",) if with_mark else ("log/*.idx", "log/mark", "log/shared")
    made = stores.with_file(store, f"log/{path.name}", without=without)

    def read(data: bytes) -> object:
        folder = made(stores.sized(data, size))
        report = verify_folder(FixedSystem(), str(folder))
        try:
            found = stores.all_events(folder)
        except LogCorruption:
            assert not report.ok, "reading finds what verify does not"
            raise
        return found if report.ok else None  # commitments are what only verify looks at

    return Target(
        name=f"segment-{number}" + ("" if with_mark else "-unmarked"),
        seeds=[path.read_bytes().rstrip(b"\0")],
        read=read,
        sign=lambda data: sign_segment(data, log_id, number),
        sealed=with_mark,
    )


def _repair_target() -> Target:
    store = stores.log_store()
    path = stores.segments(store)[0]
    size, log_id = path.stat().st_size, keys.load(FixedSystem(), str(store)).log_id
    made = stores.with_file(store, f"log/{path.name}", without=("log/*.idx",))

    def read(data: bytes) -> object:
        folder = made(stores.sized(data, size))
        report = repair_folder(FixedSystem(), str(folder), accept_loss=True)
        assert verify_folder(FixedSystem(), str(folder)).ok, "repaired, and not whole"
        return report

    return Target(
        name="repair",
        seeds=[path.read_bytes().rstrip(b"\0")],
        read=read,
        sign=lambda data: sign_segment(data, log_id, 1),
    )


def _ready_target() -> Target:
    store = stores.log_store()
    names = [path.name for path in stores.segments(store)]
    told = {"repaired": True, "kept_events": 3, "lost_ranges": [[1, 2]], "set_aside": [], "findings": []}
    seed = msgspec.json.encode({"fresh": names, "aside": "damaged-1", "told": told})

    def read(data: bytes) -> object:
        folder = stores.variant(store, "ready")
        (folder / "log.new").mkdir()
        (folder / "log.new" / "READY").write_bytes(data)
        repair_folder(FixedSystem(), str(folder), accept_loss=True)
        return stores.all_events(folder)

    return Target(name="repair-ready", seeds=[seed], read=read)


def _sidecar_target() -> Target:
    store = stores.log_store()
    path = stores.segments(store)[0]
    made = stores.with_file(store, f"log/{path.name}.idx")

    def read(data: bytes) -> object:
        found = index.decode(data)
        if found is not None:
            found.entries()
            found.touching(b"\x01" + bytes(range(16)))
            found.find_idem(bytes(range(16, 32)))
        return stores.all_events(made(data))

    return Target(
        name="sidecar",
        seeds=[(store / "log" / f"{path.name}.idx").read_bytes()],
        read=read,
        sign=lambda data: data[:8] + crc(data[12:]) + data[12:],
        refusals=(WalnutError, AssertionError),  # a signed index may lie; that is said in docs/reference/format.md
    )


def _small_file(name: str) -> Target:
    """FORMAT or keys: a line of JSON with its checksum."""
    store = stores.log_store()
    made = stores.with_file(store, name)

    def sign(data: bytes) -> bytes:
        body = data.rstrip(b"\n").rpartition(b" ")[0]
        return body + b" " + f"{google_crc32c.value(body):08x}".encode() + b"\n"

    return Target(
        name=name,
        seeds=[(store / name).read_bytes()],
        read=lambda data: stores.all_events(made(data)),
        sign=sign,
        sealed=True,
    )


def _signed_slots(data: bytes, places: tuple[int, ...]) -> bytes:
    for place in places:
        slot = data[place : place + 128]
        if len(slot) == 128:
            data = data[:place] + crc(slot[4:]) + slot[4:] + data[place + 128 :]
    return data


def _sign_shared(data: bytes) -> bytes:
    data = _signed_slots(data, (1024, 2048))
    for at, length in ((0, 48), (512, 24)):
        if len(data) >= at + length:
            data = data[:at] + crc(data[at + 4 : at + length]) + data[at + 4 :]
    return data


def _mark_target() -> Target:
    """The mark may only refuse or miss: what is read is what was written, whatever it says."""
    store = stores.log_store()
    made = stores.with_file(store, "log/mark")
    return Target(
        name="mark",
        seeds=[(store / "log/mark").read_bytes()],
        read=lambda data: stores.all_events(made(data)),
        sign=lambda data: _signed_slots(data, MARK_SLOTS),
        sealed=True,
    )


def _shared_target() -> Target:
    """The file of the written end, while another handle has the store open: joined, read, and written to."""
    store = stores.log_store()
    with FileLog.open(FixedSystem(), str(stores.variant(store, "seed"))) as log:
        seed = (stores.scratch() / "variant-seed/log/shared").read_bytes()
        count = log.durable_lsn()

    def read(data: bytes) -> object:
        folder = stores.variant(store, "shared")
        for log in _holding(folder, data):
            return [stores.told(event) for event in log.read(upto=count)]
        return None

    return Target(name="shared", seeds=[seed], read=read, sign=_sign_shared, sealed=True)


def _holding(folder: object, data: bytes) -> Iterator[FileLog]:
    """A second handle on the store, joined after the bytes of the shared file became these."""
    holder = FileLog.open(FixedSystem(), str(folder), busy_timeout=0.2)
    path = f"{folder}/log/shared"
    try:
        with open(path, "r+b") as file:
            whole = file.read()
            file.seek(0)
            file.write(data[:4096])
        with FileLog.open(stores.HurriedSystem(), str(folder), busy_timeout=0.2) as log:
            log.append(events()[0])
            yield log
    finally:
        with open(path, "r+b") as file:
            file.write(whole)  # the holder is not what is tried here
        holder._opened.close()


def targets() -> list[Target]:
    """All of them."""
    drafts = _drafts()
    section = frame.encode_envelopes([envelope for envelope, _ in drafts])
    whole = sealed_frame(section, [sealed for _, sealed in drafts])
    one = sealed_frame(frame.encode_envelopes([drafts[0][0]]), [None])
    header = stores.segments(stores.log_store())[1].read_bytes()[: segment.HEADER_SIZE]
    return [
        Target(
            name="frame",
            seeds=[whole, one],
            read=read_frame,
            sign=signed_frame,
            refusals=(WalnutError, ValueError),
            sealed=True,
        ),
        Target(name="envelopes", seeds=[section], read=read_envelopes, refusals=(WalnutError, ValueError)),
        Target(
            name="content",
            seeds=[sealed.data for _, sealed in drafts] + [frame.seal(Content(scope="s", actor="a"), b"").data],
            read=read_content,
            refusals=(WalnutError, ValueError),
        ),
        Target(
            name="segment-header",
            seeds=[header],
            read=read_segment_header,
            sign=sign_segment_header,
            sealed=True,
        ),
        _segment_target(1, with_mark=True),
        _segment_target(3, with_mark=True),
        _segment_target(3, with_mark=False),
        _sidecar_target(),
        _mark_target(),
        _shared_target(),
        _small_file("FORMAT"),
        _small_file("keys"),
        _repair_target(),
        _ready_target(),
    ]
