"""Repair: salvage every whole frame of a damaged log, say what is lost, and keep the damaged files aside.

LSNs are kept: what is lost is filled with events of kind `log.lost` without content, so that every reference and
every acknowledged version still means what it meant. The new segments are built in `log.new`, which is complete
once it holds `READY`: the list of what is new, and the report. From then on a repair that is interrupted is finished
by running it again, and until it is the store is not opened: some of its files are old, some new, some elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from walnut.errors import LogBusy, LogCorruption
from walnut.log import frame, keys, segment
from walnut.log.keys import Identity
from walnut.log.segments import Frame, Segment
from walnut.log.shared import FileLock, State
from walnut.log.verify import next_good, read_mark, verify_folder
from walnut.model.results import RepairReport
from walnut.system import System

LOST = "log.lost"
_READY = "READY"
_MARK = "log/mark"
_MAX_READY = 64 << 20
_ASIDE = re.compile(r"damaged-[0-9]{1,9}")
_LOST_AT_ONCE = 1000
_BUSY_LIMIT = 10.0
#: No event takes fewer bytes in a frame: no LSN can be higher than what the files, missing ones too, have room for.
_LEAST_EVENT = 88
_MOST_MISSING = 1024


class _Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What is left to do once `log.new` is built: put `fresh` in place of what goes to the folder `aside`."""

    fresh: tuple[str, ...]
    aside: str
    told: RepairReport


def repair_folder(system: System, folder: str, *, accept_loss: bool = False) -> RepairReport:
    """Repair the store in `folder`; without `accept_loss` only tell what would be lost.

    Nobody else may have it open (LogBusy). NotAStore, LogCorruption when even the log's id is gone, OSError.
    """
    lock = FileLock(system, f"{folder}/log/lock.write", name="write", limit=_BUSY_LIMIT)
    try:
        with lock:  # who opens the store waits here, and finds the new files
            return _alone(system, folder, accept_loss=accept_loss)
    finally:
        lock.close()


def _alone(system: System, folder: str, *, accept_loss: bool) -> RepairReport:
    presence = system.open_file(f"{folder}/log/presence", create=True)
    try:
        if not system.try_lock_file(presence):
            raise LogBusy("another process has the store open", where=folder, hint="close it first")
        if system.exists(f"{folder}/{segment.REPAIRING}"):
            return _swap(system, folder)
        report = verify_folder(system, folder, alone=True)
        if report.ok:
            return _told(repaired=False, kept=report.events)
        identity, spoiled = _identity(system, folder)
        kept, lost = _survey(system, folder, identity)
        told = RepairReport(
            repaired=accept_loss, kept_events=kept, lost_ranges=lost, set_aside=(), findings=report.findings
        )
        if not accept_loss:
            return told
        if spoiled:
            told = msgspec.structs.replace(told, set_aside=_set_keys_aside(system, folder))
            keys.create(system, folder, identity)
        _rebuild(system, folder, identity, told)
        return _swap(system, folder)
    finally:
        system.close_file(presence)


def _told(*, repaired: bool, kept: int = 0) -> RepairReport:
    return RepairReport(repaired=repaired, kept_events=kept, lost_ranges=(), set_aside=(), findings=())


def _identity(system: System, folder: str) -> tuple[Identity, bool]:
    """The log's identity, and whether its files must be written anew; a secret that is lost is another one then."""
    try:
        return keys.load(system, folder), False
    except LogCorruption as error:
        log_id, created_at = _log_id(system, folder, error)
    secret = keys.load_secret(system, folder, log_id) or system.random(32)
    return Identity(log_id=log_id, secret=secret, created_at=created_at), True


def _set_keys_aside(system: System, folder: str) -> tuple[str, ...]:
    """Keep damaged keys: whoever knows what was changed can bring the secret back."""
    if not system.exists(f"{folder}/keys"):
        return ()
    fd = system.open_file(f"{folder}/keys", write=False)
    try:
        data = system.read_at(fd, system.file_size(fd), 0)
    finally:
        system.close_file(fd)
    keys.write_whole(system, f"{folder}/keys.damaged", data)
    return ("keys.damaged",)


def _log_id(system: System, folder: str, damaged: LogCorruption) -> tuple[bytes, int]:
    for name in system.list_folder(f"{folder}/log"):
        if not segment.parse_name(name):
            continue
        fd = system.open_file(f"{folder}/log/{name}", write=False)
        try:
            header = segment.decode_header(system.read_at(fd, segment.HEADER_SIZE, 0), file=f"log/{name}")
        except LogCorruption:
            continue
        finally:
            system.close_file(fd)
        return header.log_id, header.created_at
    raise damaged


class _Source(msgspec.Struct, frozen=True):
    """A segment file to salvage from, and the offset behind which nothing counts."""

    place: Segment
    stop: int
    first_lsn: int | None


def _sources(system: System, folder: str, identity: Identity) -> list[_Source]:
    names: dict[int, str] = {}
    for name in system.list_folder(f"{folder}/log"):
        parsed = segment.parse_name(name)
        if parsed:
            names[parsed[0]] = name  # sorted: the newest generation comes last
    sources: list[_Source] = []
    for number, name in sorted(names.items(), reverse=True):
        path = f"{folder}/log/{name}"
        fd = system.open_file(path, write=False)
        try:
            header = segment.decode_header(system.read_at(fd, segment.HEADER_SIZE, 0), file=name)
        except LogCorruption:
            header = _unknown(identity, number)
        place = Segment(header, path, f"log/{name}", fd, frame.seed(identity.log_id, number))
        follower = sources[-1] if sources and sources[-1].place.number == number + 1 else None
        stop = follower.place.header.prev_end if follower and follower.place.header.prev_end else system.file_size(fd)
        first = next_good(system, place, segment.HEADER_SIZE, min(stop, system.file_size(fd)))
        known = first.header.first_lsn if first else header.first_lsn or None
        sources.append(_Source(place, min(stop, system.file_size(fd)), known))
    return sources[::-1]


def _unknown(identity: Identity, number: int) -> segment.SegmentHeader:
    return segment.SegmentHeader(
        log_id=identity.log_id,
        number=number,
        epoch=0,
        first_lsn=0,
        prev_end=0,
        prev_last_lsn=0,
        chain=bytes(32),
        capacity=0,
        created_at=identity.created_at,
    )


def _highest_lsn(system: System, sources: list[_Source], mark: State | None) -> int:
    """The highest LSN there can be; LogCorruption when the mark names a higher one."""
    numbers = [source.place.number for source in sources] + ([mark.segment] if mark is not None else [])
    missing = min(max(numbers, default=0) - len(sources), _MOST_MISSING)
    room = sum(system.file_size(source.place.fd) for source in sources) + max(missing, 0) * segment.LARGEST
    highest = room // _LEAST_EVENT
    if mark is not None and mark.lsn > highest:
        hint = "restore a backup, or put the file log/mark aside and repair again"
        raise LogCorruption("the mark names more events than the files have room for", file=_MARK, offset=0, hint=hint)
    return highest


def _good_frames(system: System, sources: list[_Source], highest: int) -> Iterator[Frame]:
    """Every sound frame in LSN order; what a follower states again is the follower's."""
    last = 0
    for at, source in enumerate(sources):
        limit = min((each.first_lsn for each in sources[at + 1 :] if each.first_lsn), default=None)
        found = next_good(system, source.place, segment.HEADER_SIZE, source.stop)
        while found is not None:
            lsn, end = found.header.first_lsn, found.header.last_lsn
            fits = last < lsn <= end <= highest and (limit is None or lsn < limit)
            if fits and frame.unsound(found.header, found.body) is None:
                last = found.header.last_lsn
                yield found
            found = next_good(system, source.place, found.end, source.stop)


def _survey(system: System, folder: str, identity: Identity) -> tuple[int, tuple[tuple[int, int], ...]]:
    """How many events can be kept, and which LSNs are lost."""
    mark = read_mark(system, folder, identity.log_id)
    sources = _sources(system, folder, identity)
    kept, last = 0, 0
    lost: list[tuple[int, int]] = []
    try:
        for each in _good_frames(system, sources, _highest_lsn(system, sources, mark)):
            if each.header.first_lsn > last + 1:
                lost.append((last + 1, each.header.first_lsn - 1))
            kept, last = kept + each.header.count, each.header.last_lsn
    finally:
        _close(system, sources)
    if mark is not None and mark.lsn > last:
        lost.append((last + 1, mark.lsn))
    return kept, tuple(lost)


def _close(system: System, sources: list[_Source]) -> None:
    for source in sources:
        system.close_file(source.place.fd)


class _Builder:
    """Writes frames one behind the other into fresh segments of a new folder."""

    def __init__(self, system: System, folder: str, identity: Identity, generation: int) -> None:
        self._system, self._folder, self._identity, self._generation = system, folder, identity, generation
        self._number, self._end, self._prev_end, self._fd = 0, 0, 0, -1
        self._seed, self._capacity = 0, 0
        self.lsn, self.chain, self.recorded_at = 0, bytes(32), 0

    def _begin(self, need: int) -> None:
        self.finish()
        self._number += 1
        size = max(segment.capacity(self._number), need + segment.HEADER_SIZE)
        self._capacity = -(-size // segment.SMALLEST) * segment.SMALLEST
        header = segment.SegmentHeader(
            log_id=self._identity.log_id,
            number=self._number,
            generation=self._generation,
            epoch=1,
            first_lsn=self.lsn + 1,
            prev_end=self._prev_end,
            prev_last_lsn=self.lsn,
            chain=self.chain,
            capacity=self._capacity,
            created_at=self._identity.created_at,
        )
        segment.install(self._system, self._folder, header)
        self._fd = self._system.open_file(f"{self._folder}/{segment.name(self._number, self._generation)}")
        self._seed = frame.seed(self._identity.log_id, self._number)
        self._end = segment.HEADER_SIZE

    def finish(self) -> None:
        """Sync the segment that was being written."""
        if self._fd >= 0:
            self._system.sync(self._fd)
            self._system.close_file(self._fd)
            self._prev_end, self._fd = self._end, -1

    def copy(self, each: Frame) -> None:
        """Append a salvaged frame."""
        if self._fd < 0 or self._end + each.header.length > self._capacity:
            self._begin(each.header.length)
        data, self.chain = frame.place(
            each.header, each.body, prev_hash=self.chain, crc_seed=self._seed, offset=self._end
        )
        self._put(data, each.header.last_lsn, each.header.recorded_at)

    def fill(self, upto: int) -> None:
        """Append placeholders for lost events up to this LSN."""
        while self.lsn < upto:
            count = min(_LOST_AT_ONCE, upto - self.lsn)
            lost = [
                frame.Envelope(self._system.random(16), LOST, frame.op_number("NONE"), 0, b"", bytes(32))
                for _ in range(count)
            ]
            if self._fd < 0 or self._end + count * 256 > self._capacity:
                self._begin(count * 256)
            data, self.chain = frame.encode(
                envelopes=frame.encode_envelopes(lost),
                contents=[None] * count,
                first_lsn=self.lsn + 1,
                synced_upto=0,
                recorded_at=self.recorded_at,
                clock_raw=0,
                epoch=1,
                writer_id=0,
                prev_hash=self.chain,
                crc_seed=self._seed,
                offset=self._end,
            )
            self._put(data, self.lsn + count, self.recorded_at)

    def _put(self, data: bytes, lsn: int, recorded_at: int) -> None:
        self._system.write_at(self._fd, data, self._end)
        self._end += len(data)
        self.lsn, self.recorded_at = lsn, recorded_at


def _rebuild(system: System, folder: str, identity: Identity, told: RepairReport) -> None:
    """Build `log.new` with everything that can be kept, and say READY."""
    new = f"{folder}/log.new"
    system.make_folder(new)
    for name in system.list_folder(new):
        system.remove(f"{new}/{name}")
    mark: State | None = read_mark(system, folder, identity.log_id)
    sources = _sources(system, folder, identity)
    generation = 1 + max((source.place.header.generation for source in sources), default=0)
    builder = _Builder(system, new, identity, generation)
    try:
        for each in _good_frames(system, sources, _highest_lsn(system, sources, mark)):
            builder.fill(each.header.first_lsn - 1)
            builder.copy(each)
    finally:
        _close(system, sources)
    builder.fill(mark.lsn if mark is not None else 0)
    if not builder.lsn:
        builder.fill(1)
    builder.finish()
    number = 1
    while system.exists(f"{folder}/damaged-{number}"):
        number += 1
    ready = _Ready(fresh=tuple(system.list_folder(new)), aside=f"damaged-{number}", told=told)
    keys.write_whole(system, f"{new}/{_READY}", msgspec.json.encode(ready))
    system.sync_directory(new)
    system.sync_directory(folder)


def _swap(system: System, folder: str) -> RepairReport:
    """Put the damaged files aside and the new ones in their place; can be repeated."""
    log, new = f"{folder}/log", f"{folder}/log.new"
    ready = _read_ready(system, folder)
    aside = f"{folder}/{ready.aside}"
    system.make_folder(aside)
    for name in system.list_folder(log):
        ours = segment.parse_name(name.removesuffix(".idx")) or name in ("mark", "shared")
        if ours and name not in ready.fresh:
            system.rename(f"{log}/{name}", f"{aside}/{name}")
    for name in ready.fresh:
        if system.exists(f"{new}/{name}"):
            system.rename(f"{new}/{name}", f"{log}/{name}")
    for changed in (aside, log, new, folder):
        system.sync_directory(changed)
    moved = tuple(f"{ready.aside}/{name}" for name in system.list_folder(aside))
    system.remove(f"{new}/{_READY}")
    system.sync_directory(new)
    return msgspec.structs.replace(ready.told, set_aside=ready.told.set_aside + moved)


def _read_ready(system: System, folder: str) -> _Ready:
    fd = system.open_file(f"{folder}/{segment.REPAIRING}", write=False)
    try:
        ready = msgspec.json.decode(system.read_at(fd, _MAX_READY, 0), type=_Ready)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        ready = None
    finally:
        system.close_file(fd)
    if ready is None or not _ASIDE.fullmatch(ready.aside) or not all(map(segment.parse_name, ready.fresh)):
        raise LogCorruption("the list of repaired files is damaged", file=segment.REPAIRING, offset=0)
    return ready
