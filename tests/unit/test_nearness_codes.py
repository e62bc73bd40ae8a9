"""Codes of large scopes: scores stay exact, few hits are lost, and nothing but recall depends on them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

import walnut
from walnut.cli.inspection import inspect
from walnut.embed import static
from walnut.recall import codes, indexes, rows
from walnut.recall.codes import Codes
from walnut.recall.vectors import Likely, Scan, Vectors

pytest.importorskip("faiss", reason="the extra `scale` is not installed")

QUERIES = ("my dog is ill", "which train goes to Rome", "invoice", "who plays the cello")
WORDS = ("dog", "cat", "train", "invoice", "cello", "puppy", "vet", "Rome", "paid", "concert", "ill", "late", "tax")


def text(number: int) -> str:
    chance = np.random.default_rng(number)
    return f"{' '.join(chance.choice(WORDS, 5))} {number}"


def part_of(vectors: NDArray[np.int8]) -> rows.Part:
    held = rows.Rows(vectors.shape[1])
    held.extend(np.arange(1, len(vectors) + 1), vectors)
    return held.until(len(vectors))


@pytest.fixture(autouse=True)
def _shortlist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far fewer than the rows here."""
    monkeypatch.setattr(codes, "SHORTLIST", 800)


@pytest.fixture(scope="module")
def part() -> rows.Part:
    return part_of(static.table().embed([text(number) for number in range(4000)]))


@pytest.fixture(scope="module")
def coded(part: rows.Part) -> Codes:
    return built(part)


def built(part: rows.Part, *, after: Codes | None = None) -> Codes:
    made = codes.build("user:a", part, after=after, stopped=lambda: False)
    assert made is not None
    return made


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[walnut.Memory]:
    """A scope of 1,500 memories, which counts as a large one here."""
    monkeypatch.setattr(indexes, "LEAST", 1000)
    with walnut.open(tmp_path) as m:
        m.remember_many([{"text": text(number), "tags": ["rare"] if number == 7 else []} for number in range(1500)])
        yield m


def kept(m: walnut.Memory) -> Vectors:
    return m._handle.store.vectors


def ready(m: walnut.Memory) -> Codes:
    """Have the codes made, and hand them out."""
    m.recall("dog", mode="vector")
    kept(m).indexes.settle()
    return kept(m).indexes._ready["user:default"].codes


def answers(m: walnut.Memory | walnut.MemoryAt, *, k: int = 10) -> list[list[tuple[str, float]]]:
    return [[(hit.memory_id, hit.score) for hit in m.recall(query, k=k, mode="vector")] for query in QUERIES]


# --- codes ----------------------------------------------------------------------------------------


def test_of_the_nearest_few_are_lost_and_no_score_changes(part: rows.Part, coded: Codes) -> None:
    found = same = 0
    for query in static.table().embed(QUERIES):
        likely, scan = Likely([part], [coded], query), Scan([part], query)
        exact = scan.best(100)
        found += len(set(likely.best(100)) & set(exact))
        same += likely.of(exact) == scan.of(exact)
    assert found >= 0.95 * 100 * len(QUERIES)
    assert same == len(QUERIES)


def test_what_is_not_coded_yet_is_compared_exactly(part: rows.Part) -> None:
    first = rows.Part(part.lsns[:3000], part.matrix[:3000], part.squares[:3000], part.scales[:3000])
    coded = built(first)
    for place in (3000, 3500, 3999):
        query = part.matrix[place].astype(np.int8)
        assert Likely([part], [coded], query).best(1) == Scan([part], query).best(1)


def test_more_than_codes_are_good_for_is_found_by_a_scan(part: rows.Part, coded: Codes) -> None:
    query = static.table().embed(["dog"])[0]
    for count in (codes.SHORTLIST // codes.TRUSTED + 1, codes.SHORTLIST - 1, 3000, 10**6):
        assert Likely([part], [coded], query).best(count) == Scan([part], query).best(count)
    few = part_of(np.repeat(part.matrix[:1].astype(np.int8), 50, axis=0))
    assert len(Likely([few], [built(few)], few.matrix[0].astype(np.int8)).best(60)) == 50


def test_codes_that_are_added_equal_those_made_at_once_but_for_their_centres(part: rows.Part) -> None:
    first = rows.Part(part.lsns[:3900], part.matrix[:3900], part.squares[:3900], part.scales[:3900])
    added, at_once = built(part, after=built(first)), built(part)
    assert added.meta == at_once.meta
    assert added.fits(part)
    assert abs(codes.agreement(added, part) - codes.agreement(at_once, part)) < 0.1


def test_codes_are_the_same_every_time(part: rows.Part, coded: Codes) -> None:
    assert built(part).to_bytes() == coded.to_bytes()


def test_codes_belong_to_the_rows_they_were_made_from(part: rows.Part, coded: Codes) -> None:
    assert coded.fits(part)
    matrix, lsns = part.matrix.copy(), part.lsns.copy()
    matrix[17, 3] += 1
    lsns[17] += 1
    assert not coded.fits(rows.Part(part.lsns, matrix, part.squares, part.scales))
    assert not coded.fits(rows.Part(lsns, part.matrix, part.squares, part.scales))
    assert not coded.fits(rows.Part(part.lsns[:3999], part.matrix[:3999], part.squares[:3999], part.scales[:3999]))


def test_any_damage_to_a_file_is_noticed(part: rows.Part, coded: Codes) -> None:
    data = coded.to_bytes()
    again = Codes.from_bytes(data)
    assert again is not None
    assert again.meta == coded.meta
    query = static.table().embed(["dog"])[0]
    assert again.likely(query).tolist() == coded.likely(query).tolist()
    chance = np.random.default_rng(1)
    for place in (0, 15, 16, 19, 20, 24, 60, len(data) - 1, *chance.integers(0, len(data), 100).tolist()):
        assert Codes.from_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]) is None
    for end in (0, 3, 20, 100, len(data) - 1):
        assert Codes.from_bytes(data[:end]) is None


def sealed(meta: bytes, index: bytes) -> bytes:
    body = len(meta).to_bytes(4, "little") + meta + index
    checksum: int = google_crc32c.value(body)
    return codes._MAGIC + checksum.to_bytes(4, "little") + body


def foreign(coded: Codes) -> dict[str, bytes]:
    """Files with a good checksum that are no codes of ours."""
    data = coded.to_bytes()
    start = len(codes._MAGIC) + 4
    end = start + 4 + int.from_bytes(data[start : start + 4], "little")
    meta, index = data[start + 4 : end], data[end:]
    fewer = msgspec.json.encode(msgspec.structs.replace(coded.meta, rows=coded.meta.rows - 1))
    return {
        "nothing": codes._MAGIC + bytes(4),
        "a length": codes._MAGIC + google_crc32c.value(b"\xff" * 4).to_bytes(4, "little") + b"\xff" * 4,
        "no meta data": sealed(b"", index),
        "meta data of others": sealed(b'{"scope": 7}', index),
        "meta data that are no text": sealed(b"\xff\xfe", index),
        "no index": sealed(meta, b""),
        "an index of others": sealed(meta, b"junk" * 100),
        "half an index": sealed(meta, index[: len(index) // 2]),
        "an index of other rows": sealed(fewer, index),
    }


def test_what_is_sealed_and_none_of_ours_is_not_used(coded: Codes) -> None:
    assert {name: Codes.from_bytes(data) for name, data in foreign(coded).items()} == dict.fromkeys(foreign(coded))


def test_making_codes_stops_when_it_is_told_to(part: rows.Part) -> None:
    assert codes.build("user:a", part, stopped=lambda: True) is None


# --- in a store -----------------------------------------------------------------------------------


def test_codes_are_made_in_the_background_and_searches_are_exact_meanwhile(store: walnut.Memory) -> None:
    exact = answers(store.as_of(lsn=1500))
    kept(store).indexes._see_to = lambda *_: None  # type: ignore[method-assign]
    assert answers(store) == exact
    del kept(store).indexes._see_to
    assert ready(store).meta.rows == 1500
    for likely, wanted in zip(answers(store), exact, strict=True):
        assert len(set(likely) & set(wanted)) >= 9
        assert dict(likely).items() >= {each: score for each, score in wanted if each in dict(likely)}.items()


def test_V3_the_past_is_answered_exactly_whatever_codes_there_are(
    store: walnut.Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [answers(store.as_of(lsn=lsn), k=50) for lsn in (1500, 1200, 10)]
    ready(store)
    monkeypatch.setattr(Codes, "likely", None)  # whoever asked them would fail
    assert [answers(store.as_of(lsn=lsn), k=50) for lsn in (1500, 1200, 10)] == before
    store.upkeep.rebuild()
    assert [answers(store.as_of(lsn=lsn), k=50) for lsn in (1500, 1200, 10)] == before


def test_filters_are_exact_beside_codes(store: walnut.Memory) -> None:
    ready(store)
    (found,) = store.recall("concert train", mode="vector", tags=["rare"])
    assert found.text == text(7)
    latest = store.remember("a late puppy", confidence=0.9)
    assert [hit.lsn for hit in store.recall("invoice", mode="vector", min_confidence=0.5)] == [latest.lsn]
    assert store.recall("a late puppy", mode="vector", k=1)[0].lsn == latest.lsn
    store.forget(str(latest.memory_id))
    assert store.recall("a late puppy", mode="vector", k=1)[0].lsn != latest.lsn


def test_a_scope_with_codes_shows_nothing_of_another_and_nothing_to_it(store: walnut.Memory, tmp_path: Path) -> None:
    with walnut.open(tmp_path, scope="user:other") as other:
        other.remember_many([{"text": text(number)} for number in range(1100)])
        other_texts = {hit.memory_id for query in QUERIES for hit in other.recall(query, k=50, mode="vector")}
        kept(other).indexes.settle()
        mine = {hit.memory_id for query in QUERIES for hit in store.recall(query, k=50, mode="vector")}
        ready(store)
        again = {hit.memory_id for query in QUERIES for hit in store.recall(query, k=50, mode="vector")}
        assert {hit.memory_id for query in QUERIES for hit in other.recall(query, k=50, mode="vector")} & again == set()
        assert other_texts & (mine | again) == set()


def file_of(folder: Path) -> Path:
    (found,) = (folder / "views").glob("nearness-*.codes")
    return found


def test_codes_are_kept_in_a_file_that_only_the_owner_reads_and_found_again(
    store: walnut.Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ready(store)
    file = file_of(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    store.close()
    monkeypatch.setattr(codes, "build", None)  # made again they would fail
    with walnut.open(tmp_path) as m:
        assert ready(m).meta == first.meta
        assert len(answers(m)[0]) == 10


DIES = """
import os, signal, sys
import walnut
from walnut.recall import indexes
from walnut.system import System

folder, moment, share = sys.argv[1], sys.argv[2], float(sys.argv[3])
indexes.LEAST = 1000

class Dying(System):
    def write_at(self, fd, data, offset):
        if b"walnut-codes" in bytes(data[:20]) and moment == "write":
            super().write_at(fd, data[: int(len(data) * share)], offset)
            os.kill(os.getpid(), signal.SIGKILL)
        super().write_at(fd, data, offset)

    def rename(self, source, target):
        if target.endswith(".codes") and moment == "before the name":
            os.kill(os.getpid(), signal.SIGKILL)
        super().rename(source, target)
        if target.endswith(".codes") and moment == "after the name":
            os.kill(os.getpid(), signal.SIGKILL)

with walnut.open(folder, system=Dying()) as m:
    m.recall("dog", mode="vector")
    m._handle.store.vectors.indexes.settle()
"""


@pytest.mark.parametrize(
    ("moment", "share", "stale"),
    [
        *(("write", share, False) for share in (0.0, 0.3, 1.0)),
        *((moment, 1.0, False) for moment in ("before the name", "after the name")),
        *(("write", 0.999, True), ("before the name", 1.0, True), ("after the name", 1.0, True)),
    ],
)
def test_V4_killed_while_codes_are_written_leaves_old_ones_new_ones_or_none(
    store: walnut.Memory, tmp_path: Path, moment: str, share: float, *, stale: bool
) -> None:
    if stale:
        ready(store)
        store.remember_many([{"text": text(number + 6000)} for number in range(150)])
    exact = answers(store.as_of(lsn=store.log.durable_lsn))
    store.close()
    old = file_of(tmp_path).read_bytes() if stale else None
    killed = subprocess.run([sys.executable, "-c", DIES, tmp_path, moment, str(share)], check=False, timeout=100)
    assert killed.returncode == -signal.SIGKILL
    found = [path.read_bytes() for path in (tmp_path / "views").glob("*.codes")]
    if moment == "after the name":
        assert (new := Codes.from_bytes(found[0])) is not None
        assert new.meta.rows == 1500 + 150 * stale
    else:
        assert found == ([old] if stale else [])
    with walnut.open(tmp_path) as m:
        assert len(answers(m)[0]) == 10
        assert ready(m).meta.rows == 1500 + 150 * stale
        for likely, wanted in zip(answers(m), exact, strict=True):
            assert len(set(likely) & set(wanted)) >= 9
    assert list((tmp_path / "views").glob("*.tmp")) == []


@pytest.mark.parametrize("name", ["nothing", "meta data of others", "half an index", "an index of other rows"])
def test_a_file_of_others_under_a_good_checksum_is_made_anew(store: walnut.Memory, tmp_path: Path, name: str) -> None:
    first = ready(store)
    file, expected = file_of(tmp_path), answers(store)
    store.close()
    file.write_bytes(foreign(first)[name])
    with walnut.open(tmp_path) as m:
        assert ready(m).meta == first.meta
        assert answers(m) == expected
    assert file.read_bytes() == first.to_bytes()


@pytest.mark.parametrize("harm", ["damaged", "cut", "empty", "of other rows", "deleted", "a folder"])
def test_a_file_that_is_no_good_is_made_anew(store: walnut.Memory, tmp_path: Path, harm: str) -> None:
    first = ready(store)
    file = file_of(tmp_path)
    good, expected = file.read_bytes(), answers(store)
    store.close()
    if harm == "damaged":
        file.write_bytes(good[:5000] + bytes([good[5000] ^ 4]) + good[5001:])
    elif harm in ("cut", "empty"):
        os.truncate(file, len(good) // 2 if harm == "cut" else 0)
    elif harm == "of other rows":
        other = part_of(static.table().embed([text(number + 1) for number in range(1500)]))
        file.write_bytes(built(other).to_bytes())
    else:
        file.unlink()
        if harm == "a folder":
            file.mkdir()
    with walnut.open(tmp_path) as m:
        assert len(answers(m)[0]) == 10
        assert ready(m).meta == first.meta
        assert answers(m) == expected
    assert harm == "a folder" or file.read_bytes() == good


def test_codes_grow_with_the_scope_and_survive_a_rebuilt_view(store: walnut.Memory, tmp_path: Path) -> None:
    ready(store)
    store.remember_many([{"text": text(number + 5000)} for number in range(50)])
    assert ready(store).meta.rows == 1500  # so few are compared exactly
    store.remember_many([{"text": text(number + 6000)} for number in range(100)])
    assert ready(store).meta.rows == 1650
    store.upkeep.rebuild()
    assert ready(store).meta.rows == 1650
    assert kept(store).indexes._ready["user:default"].generation == kept(store)._generation


def test_without_the_library_or_below_the_size_all_is_exact(
    store: walnut.Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(codes, "library", lambda: None)
        assert answers(store) == answers(store.as_of(lsn=1500))
        kept(store).indexes.settle()
    monkeypatch.setattr(indexes, "LEAST", 1501)
    assert answers(store) == answers(store.as_of(lsn=1500))
    kept(store).indexes.settle()
    assert list((tmp_path / "views").glob("*.codes")) == []


def test_closing_does_not_wait_for_codes_to_be_finished(store: walnut.Memory, tmp_path: Path) -> None:
    store.recall("dog", mode="vector")
    store.close()
    building = kept(store).indexes._building
    assert building is not None
    assert not building.is_alive()
    assert list((tmp_path / "views").glob("*.tmp")) == []


# --- what is told ---------------------------------------------------------------------------------


def told(folder: Path) -> list[tuple[str, str]]:
    return [(check.status, check.detail) for check in inspect(folder) if check.name == "nearness"]


def test_stats_name_the_scopes_that_have_codes_to_who_governs_them(store: walnut.Memory, tmp_path: Path) -> None:
    assert store.upkeep.stats().indexes == ()
    ready(store)
    (status,) = store.upkeep.stats().indexes
    assert (status.scope, status.rows, status.lsn) == ("user:default", 1500, 1500)
    assert status.bytes == file_of(tmp_path).stat().st_size
    with walnut.open(tmp_path, scope="user:other") as other:
        assert other.upkeep.stats().indexes == ()
    file_of(tmp_path).write_bytes(b"walnut-codes-1")
    assert store.upkeep.stats().indexes == ()


def test_the_doctor_says_how_many_of_the_exact_nearest_codes_find(store: walnut.Memory, tmp_path: Path) -> None:
    assert told(tmp_path) == [("ok", "every scope is searched exactly")]
    ready(store)
    assert "in use" in told(tmp_path)[0][1]
    store.close()
    ((status, detail),) = told(tmp_path)
    assert status == "ok"
    assert detail.startswith("1,500 vectors of a scope: ")
    assert float(detail.partition(": ")[2].partition("%")[0]) >= 95


def test_the_doctor_warns_of_codes_that_find_little_and_of_damaged_ones(store: walnut.Memory, tmp_path: Path) -> None:
    good = ready(store)
    store.close()
    file = file_of(tmp_path)
    shuffled = part_of(static.table().embed([text(number) for number in reversed(range(1500))]))
    file.write_bytes(Codes(good.meta, built(shuffled)._index).to_bytes())
    ((status, detail),) = told(tmp_path)
    assert status == "warn"
    assert file.name in detail
    file.write_bytes(file.read_bytes()[:-1])
    ((status, detail),) = told(tmp_path)
    assert status == "warn"
    assert "damaged" in detail
    file.write_bytes(built(shuffled).to_bytes())
    ((status, detail),) = told(tmp_path)
    assert "of other vectors" in detail
