"""Codes: half a byte for two dimensions of each row of a large scope, by which the likely nearest are found quickly.

They only say which rows are worth comparing exactly, so a wrong code may cost a hit, never a score. They are made
from rows and from nothing else, and belong to those rows by a checksum: a file of them may be deleted, damaged or
left behind by another history, and is then not used. The library is faiss (extra `scale`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from types import ModuleType

import google_crc32c
import msgspec
import numpy as np
from numpy.typing import NDArray

from walnut.recall.rows import Matrix, Part
from walnut.system import System

#: Of the way codes are made; it is in the file's name.
VERSION = 1
#: Rows that the likely nearest are.
SHORTLIST = 2_000
#: Of the nearest that are looked for among them, an eighth: those farther off are not so likely there any more.
TRUSTED = 8
_MAGIC = b"walnut-codes-1\n\0"
_TRAINED_ON = 20_000
_ROUNDS = 10
_BLOCK = 16_384


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What codes are of: the first `rows` of a scope, up to an LSN, with this checksum."""

    scope: str
    rows: int
    lsn: int
    checksum: int


@cache
def library() -> ModuleType | None:
    """Where it is installed."""
    try:
        import faiss
    except ImportError:
        return None
    found: ModuleType = faiss
    return found


class Codes:
    """The codes of the first rows of a scope; never changed."""

    def __init__(self, meta: Meta, index: object) -> None:
        self.meta = meta
        self._index = index

    def likely(self, query: NDArray[np.int8]) -> NDArray[np.intp]:
        """Places of the rows that are likely the nearest, `SHORTLIST` of them."""
        most = min(SHORTLIST, self.meta.rows)
        _, places = self._index.search(_units(query[None, :]), most)  # type: ignore[attr-defined]
        found: NDArray[np.intp] = places[0][places[0] >= 0].astype(np.intp)
        return found

    def fits(self, part: Part) -> bool:
        """Whether they are the codes of these rows."""
        return self.meta.rows <= len(part.lsns) and checksum(part, self.meta.rows) == self.meta.checksum

    def to_bytes(self) -> bytes:
        """As in a file: magic word, CRC32C of what follows, length of the meta data, meta data, codes."""
        meta = msgspec.json.encode(self.meta)
        index: bytes = _faiss().serialize_index(self._index).tobytes()
        body: bytes = len(meta).to_bytes(4, "little") + meta + index
        checksum: int = google_crc32c.value(body)
        return _MAGIC + checksum.to_bytes(4, "little") + body

    @classmethod
    def from_bytes(cls, data: bytes) -> Codes | None:
        """The same; None when it is not what was written."""
        start = len(_MAGIC) + 4
        body = data[start:]
        checksum: int = google_crc32c.value(body)
        if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : start] != checksum.to_bytes(4, "little"):
            return None
        end = 4 + int.from_bytes(body[:4], "little")
        try:  # what is sealed as it should be may still be another version's
            meta = msgspec.json.decode(body[4:end], type=Meta)
            index = _faiss().deserialize_index(np.frombuffer(body, np.uint8, offset=end))
        except (ValueError, RuntimeError, MemoryError):
            return None
        return cls(meta, index) if index.ntotal == meta.rows else None


def build(scope: str, part: Part, *, after: Codes | None = None, stopped: Callable[[], bool]) -> Codes | None:
    """Codes of all rows of a part, made anew or by adding to those of its first rows; None once it is stopped.

    Runs in a thread of its own: it takes seconds, and uses one processor.
    """
    faiss = _faiss()
    faiss.omp_set_num_threads(1)  # of this thread
    rows, start = len(part.lsns), 0
    if after is None:
        size = part.matrix.shape[1]
        index = faiss.index_factory(size, f"PQ{size // 2}x4fs", faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.min_points_per_centroid, index.pq.cp.niter = 1, _ROUNDS
        index.train(_units(part.matrix[:: max(1, rows // _TRAINED_ON)]))
    else:
        index, start = faiss.clone_index(after._index), after.meta.rows  # noqa: SLF001 - its own kind
    for at in range(start, rows, _BLOCK):
        if stopped():
            return None
        index.add(_units(part.matrix[at : at + _BLOCK]))
    return Codes(Meta(scope=scope, rows=rows, lsn=int(part.lsns[-1]), checksum=checksum(part, rows)), index)


def checksum(part: Part, rows: int) -> int:
    """Of the first rows and their LSNs."""
    state = 0
    for at in range(0, rows, _BLOCK):
        end = min(at + _BLOCK, rows)
        state = google_crc32c.extend(state, part.lsns[at:end].tobytes())
        state = google_crc32c.extend(state, part.matrix[at:end].astype(np.int8).tobytes())
    return state


def agreement(codes: Codes, part: Part, *, queries: int = 20, count: int = 10) -> float:
    """The share of the exact nearest that the likely nearest hold, asked with some of the rows themselves."""
    rows, found, asked = codes.meta.rows, 0, 0
    for place in range(0, rows, max(1, rows // queries)):
        query = part.matrix[place].astype(np.int8)
        rough = (part.dots(query) * part.scales)[:rows]
        rough[place] = -np.inf  # it is nearest to itself
        nearest = np.argsort(-rough, kind="stable")[: min(count, rows - 1)]
        found += int(np.isin(nearest, codes.likely(query)).sum())
        asked += len(nearest)
    return found / asked if asked else 1.0


# --- files --------------------------------------------------------------------------------------------


def file_name(scope: str) -> str:
    """Of a scope's codes, in the folder of the views."""
    return f"nearness-v{VERSION}-{blake2b(scope.encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}.codes"


def load(system: System, path: str) -> Codes | None:
    """The codes in a file; None when there are none, or not what was written."""
    try:
        fd = system.open_file(path, write=False)
    except FileNotFoundError:
        return None
    try:
        return Codes.from_bytes(system.read_at(fd, system.file_size(fd), 0))
    finally:
        system.close_file(fd)


def load_meta(system: System, path: str) -> tuple[Meta | None, int]:
    """What the codes in a file say they are of, unchecked, and the file's size."""
    try:
        fd = system.open_file(path, write=False)
    except OSError:
        return None, 0
    try:
        start, size = len(_MAGIC) + 4, system.file_size(fd)
        length = int.from_bytes(system.read_at(fd, 4, start), "little")
        return msgspec.json.decode(system.read_at(fd, min(length, size), start + 4), type=Meta), size
    except (msgspec.DecodeError, UnicodeDecodeError, OSError):
        return None, 0
    finally:
        system.close_file(fd)


def save(system: System, path: str, codes: Codes) -> None:
    """Put them in a file, in one step; nothing is synced, for a checksum tells a torn one."""
    folder, _, name = path.rpartition("/")
    for each in system.list_folder(folder):
        if each.startswith(f"{name}.") and each.endswith(".tmp"):  # of one who died; who is alive fails, and may
            system.remove(f"{folder}/{each}")
    temporary = f"{path}.{system.random(4).hex()}.tmp"
    fd = system.open_file(temporary, create=True, exclusive=True)
    try:
        system.write_at(fd, codes.to_bytes(), 0)
    finally:
        system.close_file(fd)
    system.rename(temporary, path)


def _units(rows: Matrix | NDArray[np.int8]) -> NDArray[np.float32]:
    """Each row at length 1, for faiss."""
    whole = rows.astype(np.float32)
    lengths = np.sqrt(np.maximum(np.einsum("ij,ij->i", whole, whole), 1))
    units: NDArray[np.float32] = whole / lengths[:, None]
    return units


def _faiss() -> ModuleType:
    found = library()
    if found is None:
        raise RuntimeError("faiss is not installed")
    return found
