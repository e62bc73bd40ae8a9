"""An embedder of the caller's: it follows the log at its own pace, costs nothing twice, and no failure of it shows."""

import asyncio
import math
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import walnut
from walnut import aio
from walnut.embed.function import FunctionEmbedder
from walnut.errors import EmbedderFailed
from walnut.model.results import Embedding
from walnut.reactors.cache import Cache, Row
from walnut.reactors.questions import Questions, QuestionSettings
from walnut.system import System
from walnut.views.damage import UNREADABLE, Damaged

#: Long enough for any machine; nothing waits that long unless it fails.
LONG = 60.0
TOPICS = ("ship", "invoice", "garden")


class Model:
    """A model that knows three topics by words the texts need not share, and counts what it is asked."""

    def __init__(self, name: str = "topics", *, also: str = "") -> None:
        self.texts: list[str] = []
        self.calls = 0
        self.also = also
        self.embedder = FunctionEmbedder(self.embed, model=name, dimensions=3)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls += 1
        self.texts += texts
        return [self.one(text) for text in texts]

    def one(self, text: str) -> list[float]:
        words = {"vessel": "ship", "bill": "invoice", "roses": "garden", self.also: "ship"}
        known = [words.get(word, word) for word in text.lower().split()]
        return [0.01 + known.count(topic) for topic in TOPICS]


def filled(m: walnut.Memory) -> walnut.Memory:
    for text in ("Ship", "Invoice", "Garden"):
        m.remember(text)
    return m


def embedded(m: walnut.Memory) -> Embedding:
    status = m.upkeep.embed(timeout=LONG)
    assert status.lsn >= m.log.durable_lsn
    assert status.waiting == 0
    return status


def best(m: walnut.MemoryAt, query: str, **given: Any) -> str:
    return m.recall(query, **given)[0].text


# --- finding --------------------------------------------------------------------------------------


def test_memories_are_found_by_the_model_once_they_are_embedded() -> None:
    model = Model()
    with walnut.open("memory://", embedder=model.embedder) as m:
        status = embedded(filled(m))
        assert (status.vectors, status.waiting, status.given_up, status.failure) == (3, 0, 0, None)
        for mode in ("hybrid", "vector"):
            hits = m.recall("vessel", mode=mode, explain=True)
            assert hits[0].text == "Ship"
            assert all(sum(part.value for part in hit.parts) == hit.score for hit in hits)
        assert best(m, "roses") == "Garden"
        assert m.upkeep.stats().embedding == status


def test_the_face_for_asyncio_has_it_too() -> None:
    async def run() -> None:
        async with aio.open("memory://", embedder=Model().embedder) as m:
            await m.remember("Ship")
            assert (await m.upkeep.embed(timeout=LONG)).vectors == 1
            assert (await m.recall("vessel", mode="vector"))[0].text == "Ship"

    asyncio.run(run())


def test_what_was_brought_in_the_models_dimension_is_its_own_and_not_embedded_again() -> None:
    model = Model()
    with walnut.open("memory://", embedder=model.embedder) as m:
        m.remember("Item 1", embedding=[1.0, 0.0, 0.0])
        m.remember("Item 2", embedding=[1.0, 0.0])
        embedded(m)
        assert model.texts == ["Item 2"]
        assert best(m, "vessel", mode="vector") == "Item 1"
        asked = model.calls
        assert best(m, "anything", embedding=[0.9, 0.1, 0.0]) == "Item 1"
        assert best(m, "", embedding=[1.0, 0.0]) == "Item 2"
        assert model.calls == asked  # a given vector stands for the model's


def test_as_of_and_scopes_hold_for_the_models_vectors() -> None:
    with walnut.open("memory://", scope="global", embedder=Model().embedder) as root:
        ours, theirs = root.bind(scope="user:a"), root.bind(scope="user:b")
        first = ours.remember("Ship one")
        ours.remember("Ship two ship ship")
        embedded(root)
        before = ours.recall("vessel", explain=True)
        then = ours.as_of(lsn=first.lsn).recall("vessel", mode="vector")
        assert [hit.text for hit in then] == ["Ship one"]
        theirs.remember_many([{"text": f"Ship {number}"} for number in range(100)])
        embedded(root)
        strip = [(hit.lsn, hit.score) for hit in before]
        assert [(hit.lsn, hit.score) for hit in ours.recall("vessel", explain=True)] == strip


# --- calls ----------------------------------------------------------------------------------------


def test_a_replay_and_a_change_of_embedder_make_no_call_for_texts_that_are_cached(tmp_path: Path) -> None:
    one, other = Model("one"), Model("other", also="boat")
    with walnut.open(tmp_path, embedder=one.embedder) as m:
        filled(filled(m))
        embedded(m)
        assert sorted(one.texts) == ["Garden", "Invoice", "Ship"]
    for model, calls in ((other, 1), (one, 0), (other, 0)):
        for folder in ("views", "checkpoints"):
            shutil.rmtree(tmp_path / folder, ignore_errors=True)
        model.calls = 0
        with walnut.open(tmp_path, embedder=model.embedder) as m:
            assert embedded(m).vectors == 3
            m.upkeep.rebuild()
            embedded(m)
            assert model.calls == calls
            assert best(m, "vessel", mode="vector") == "Ship"


def test_while_a_new_model_is_under_way_the_packages_vectors_answer_and_none_of_another_model(tmp_path: Path) -> None:
    with walnut.open(tmp_path, embedder=Model("one").embedder) as m:
        embedded(filled(m))
        m.remember("Our boat was painted red")
    with walnut.open(tmp_path) as m:
        plain = [hit.text for hit in m.recall("sailing vessel", mode="vector")]
    go, model = threading.Event(), Model("other")

    def slowly(texts: Sequence[str]) -> list[list[float]]:
        assert list(texts) == ["sailing vessel"] or go.wait(LONG)
        return model.embed(texts)

    with walnut.open(tmp_path, embedder=FunctionEmbedder(slowly, model="other", dimensions=3)) as m:
        assert [hit.text for hit in m.recall("sailing vessel", mode="vector")] == plain
        go.set()
        embedded(m)
        assert best(m, "sailing vessel", mode="vector") == "Ship"


def test_two_that_have_the_store_open_share_the_work(tmp_path: Path) -> None:
    models = [Model(), Model()]
    with (
        walnut.open(tmp_path, embedder=models[0].embedder) as a,
        walnut.open(tmp_path, embedder=models[1].embedder) as b,
    ):
        for number in range(40):
            (a, b)[number % 2].remember(f"Ship {number}")
        assert embedded(a).vectors == embedded(b).vectors == 40
        assert sorted(models[0].texts + models[1].texts) == sorted(f"Ship {number}" for number in range(40))


def test_what_a_call_brings_after_the_close_is_kept(tmp_path: Path) -> None:
    begun, go, model = threading.Event(), threading.Event(), Model()

    def slowly(texts: Sequence[str]) -> list[list[float]]:
        begun.set()
        assert go.wait(LONG)
        return model.embed(texts)

    m = filled(walnut.open(tmp_path, embedder=FunctionEmbedder(slowly, model="topics", dimensions=3)))
    assert begun.wait(LONG)
    m.close()
    go.set()
    for thread in threading.enumerate():
        if thread.name == "walnut-embed":
            thread.join(LONG)
    with walnut.open(tmp_path, embedder=model.embedder) as m:
        embedded(m)
        assert sorted(model.texts) == ["Garden", "Invoice", "Ship"]


# --- failures -------------------------------------------------------------------------------------


def broken(answer: Callable[[Sequence[str]], Any]) -> FunctionEmbedder:
    return FunctionEmbedder(answer, model="broken", dimensions=3)


def raising(texts: Sequence[str]) -> Any:
    raise RuntimeError(texts)


def unreachable(texts: Sequence[str]) -> Any:
    raise TimeoutError


def leaving(texts: Sequence[str]) -> Any:
    sys.exit(1)


@pytest.mark.parametrize(
    "answer",
    [
        raising,
        unreachable,
        leaving,
        lambda texts: None,
        lambda texts: "abc",
        lambda texts: [],
        lambda texts: [[1.0, 2.0, 3.0]] * (len(texts) + 1),
        lambda texts: [[1.0, 2.0]] * len(texts),
        lambda texts: [[1.0, 2.0, float("nan")]] * len(texts),
        lambda texts: [[1.0, 2.0, float("-inf")]] * len(texts),
        lambda texts: [["a", "b", "c"]] * len(texts),
        lambda texts: [[1.0, 2.0, [3.0]]] * len(texts),
        lambda texts: [[10**400, 2.0, 3.0]] * len(texts),
    ],
)
def test_a_model_that_fails_leaves_writes_and_searches_alone_and_is_told(answer: Any) -> None:
    with walnut.open("memory://") as plain:
        filled(plain)
        expected = [(hit.text, hit.parts) for hit in plain.recall("bill for the ship", explain=True)]
    with walnut.open("memory://", embedder=broken(answer)) as m:
        filled(m)
        assert [hit.text for hit in m.recall("bill for the ship")] == [text for text, _ in expected]
        status = m.upkeep.embed(timeout=0.2)
        assert status.vectors == 0
        assert status.failures > 0
        assert status.failure
        assert "Ship" not in status.failure
        assert m.recall("bill", mode="keyword") == []
        with pytest.raises(EmbedderFailed) as failed:
            m.recall("bill", mode="vector")
        assert failed.value.code == "embedder_failed"
        assert failed.value.hint
        assert m.remember("Still written").durability == "disk"


def test_one_text_that_the_model_cannot_take_is_given_up_alone(tmp_path: Path) -> None:
    model = Model()

    def picky(texts: Sequence[str]) -> list[list[float]]:
        if "poison" in texts:
            raise ValueError
        return model.embed(texts)

    embedder = FunctionEmbedder(picky, model="topics", dimensions=3)
    with walnut.open(tmp_path, embedder=embedder) as m:
        m.remember_many([{"text": f"Ship {number}"} for number in range(5)])
        m.remember("poison")
        m.remember("Garden")
        status = until(m, lambda status: status.vectors == 6)
        assert status.failure
        status = until(m, lambda status: status.given_up == 1)
        assert (status.waiting, status.vectors) == (0, 6)
        assert len(model.texts) == 6
        assert best(m, "roses") == "Garden"


def until(m: walnut.Memory, holds: Callable[[Embedding], bool]) -> Embedding:
    """Take the pauses after failures away until it is so."""
    embedding = m._handle.store.embedding
    assert embedding is not None
    status = embedding.status()
    for _ in range(1000):
        if holds(status):
            return status
        embedding._reactor._due_at = 0.0
        embedding.nudge()
        embedding._reactor.wait(m.log.durable_lsn, timeout=0.05)
        status = embedding.status()
    raise AssertionError(status)


def test_an_outage_is_waited_out_and_blamed_on_no_text() -> None:
    model, left = Model(), iter(range(30))

    def shaky(texts: Sequence[str]) -> list[list[float]]:
        if next(left, None) is not None:
            raise ConnectionResetError
        return model.embed(texts)

    with walnut.open("memory://", embedder=FunctionEmbedder(shaky, model="topics", dimensions=3)) as m:
        filled(m)
        status = until(m, lambda status: status.vectors == 3)
        assert (status.given_up, status.failures, status.failure) == (0, 0, None)


def test_a_search_waits_for_a_slow_model_within_its_patience_and_has_the_answer_the_next_time() -> None:
    go, done = threading.Event(), threading.Event()

    def slowly(texts: Sequence[str]) -> list[list[float]]:
        assert go.wait(LONG)
        done.set()
        return [[1.0, 0.0]]

    settings = QuestionSettings(patience=0.01, demanded=0.01)
    questions = Questions(System(), FunctionEmbedder(slowly, model="slow", dimensions=2), settings)
    assert questions.vector("ship", demanded=False) is None
    with pytest.raises(EmbedderFailed, match="in time"):
        questions.vector("ship", demanded=True)
    go.set()
    assert done.wait(LONG)
    patient = QuestionSettings(patience=LONG, demanded=LONG)
    questions._settings = patient
    found = questions.vector("ship", demanded=True)
    assert found is not None
    assert found.tolist() == [1.0, 0.0]


def test_after_a_failure_searches_leave_the_model_alone_for_a_while() -> None:
    calls: list[int] = []

    def failing(texts: Sequence[str]) -> Any:
        calls.append(1)
        raise OSError

    settings = QuestionSettings(pause=LONG, longest_pause=LONG)
    questions = Questions(System(), FunctionEmbedder(failing, model="gone", dimensions=2), settings)
    assert [questions.vector(f"ship {number}", demanded=False) for number in range(50)] == [None] * 50
    assert len(calls) == 1


@pytest.mark.parametrize(
    "embedder",
    [
        "abc",
        FunctionEmbedder,
        lambda texts: [],
        FunctionEmbedder(lambda texts: [], model="", dimensions=3),
        FunctionEmbedder(lambda texts: [], model="x", dimensions=0),
        FunctionEmbedder(lambda texts: [], model="x", dimensions=16_385),
        FunctionEmbedder(lambda texts: [], model=7, dimensions=3),  # type: ignore[arg-type]
        FunctionEmbedder(lambda texts: [], model="x", dimensions="3"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_embedder_is_refused_before_anything_is_made(embedder: Any, tmp_path: Path) -> None:
    with pytest.raises(walnut.InvalidArgument, match="embedder"):
        walnut.open(tmp_path / "new", embedder=embedder)
    assert not (tmp_path / "new").exists()


def test_without_an_embedder_there_is_nothing_to_embed() -> None:
    with walnut.open("memory://") as m:
        assert m.upkeep.stats().embedding is None
        with pytest.raises(walnut.InvalidArgument, match="without an embedder"):
            m.upkeep.embed()


# --- the cache ------------------------------------------------------------------------------------


def cached(folder: Path, query: str) -> list[Any]:
    db = sqlite3.connect(folder / "embeddings" / "cache.db")
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def test_the_cache_is_the_owners_and_holds_no_text(tmp_path: Path) -> None:
    with walnut.open(tmp_path, embedder=Model().embedder) as m:
        m.remember("Ship of the line", key="flag-ship")
        embedded(m)
        for file in (tmp_path / "embeddings").iterdir():
            assert file.stat().st_mode & 0o077 == 0
            assert b"Ship of" not in file.read_bytes()
    assert (tmp_path / "embeddings").stat().st_mode & 0o077 == 0


def test_what_is_forgotten_or_undone_goes_from_the_cache_and_comes_back_with_it(tmp_path: Path) -> None:
    model = Model()
    with walnut.open(tmp_path, embedder=model.embedder) as m:
        filled(m)
        twin, lone = m.remember("Ship"), m.remember("Vessel")
        assert embedded(m).vectors == 4
        assert twin.memory_id
        assert lone.memory_id
        m.forget(twin.memory_id)
        assert embedded(m).vectors == 4  # another memory says the same
        gone = m.forget(lone.memory_id)
        assert embedded(m).vectors == 3
        assert best(m, "vessel", mode="vector") == "Ship"
        asked = len(model.texts)
        m.apply(m.plan_revert(events=[gone]))
        assert embedded(m).vectors == 4
        assert len(model.texts) == asked + 1
        assert {hit.text for hit in m.recall("vessel", mode="vector", k=2)} == {"Ship", "Vessel"}


def test_what_is_forgotten_before_its_turn_is_sent_to_no_model(tmp_path: Path) -> None:
    with walnut.open(tmp_path) as m:
        filled(m)
        ack = m.remember("Secret")
        assert ack.memory_id
        m.forget(ack.memory_id)
    model = Model()
    with walnut.open(tmp_path, embedder=model.embedder) as m:
        assert embedded(m).vectors == 3
    assert "Secret" not in model.texts


@pytest.mark.parametrize("damage", [b"", b"not a database at all", b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_cache_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    with walnut.open(tmp_path, embedder=Model().embedder) as m:
        embedded(filled(m))
    (tmp_path / "embeddings" / "cache.db").write_bytes(damage)
    with walnut.open(tmp_path, embedder=Model().embedder) as m:
        assert {hit.text for hit in m.recall("ship")} == {"Ship"} or m.recall("ship")[0].text == "Ship"
        assert embedded(m).vectors == 3
        assert best(m, "vessel", mode="vector") == "Ship"


@pytest.mark.parametrize(
    "wrong", ["zeroblob(length(vector))", "substr(vector, 1, 4)", "(SELECT max(vector) FROM vectors)"]
)
def test_a_vector_that_was_never_written_is_noticed_and_made_again(tmp_path: Path, wrong: str) -> None:
    with walnut.open(tmp_path, embedder=Model().embedder) as m:
        embedded(filled(m))
        before = [(hit.text, hit.score) for hit in m.recall("vessel", mode="vector")]
    with sqlite3.connect(tmp_path / "embeddings" / "cache.db") as db:
        db.execute(f"UPDATE vectors SET vector = {wrong}")
    db.close()
    model = Model()
    with walnut.open(tmp_path, embedder=model.embedder) as m:
        m.recall("vessel")
        assert embedded(m).vectors == 3
        assert [(hit.text, hit.score) for hit in m.recall("vessel", mode="vector")] == before
    assert "Ship" in model.texts


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_flipped_in_the_cache_no_search_fails_and_it_mends_itself(tmp_path: Path, seed: int) -> None:
    drawn = random.Random(seed)
    with walnut.open(tmp_path, embedder=Model().embedder) as m:
        for number in range(60):
            m.remember(f"Ship {number} and garden")
        embedded(m)
    path = tmp_path / "embeddings" / "cache.db"
    data = bytearray(path.read_bytes())
    for _ in range(drawn.choice((1, 10, 200))):
        data[drawn.randrange(len(data))] ^= 1 << drawn.randrange(8)
    path.write_bytes(data)
    with walnut.open(tmp_path, embedder=Model().embedder) as m:
        for query in ("vessel", "Ship 7", "roses"):
            assert all(math.isfinite(hit.score) for hit in m.recall(query, k=100))
        ack = m.remember("Garden party")
        assert m.upkeep.embed(timeout=LONG).waiting == 0
        assert m.recall("party")[0].memory_id == ack.memory_id
        assert m._handle.store.embedding is not None
        assert m._handle.store.embedding._reactor._thread is not None
        assert m._handle.store.embedding._reactor._thread.is_alive()


FLIPPED_SCOPES = ("user:a", "user:b")
FLIPPED_MODELS = ("one", "two")


def small_cache(path: Path) -> dict[tuple[str, str, int], bytes]:
    """Two models, two scopes, one text in both and one that waits; by model, scope and LSN the vector of each."""
    vectors = np.eye(4, dtype=np.float32)[:, :3] + np.float32(0.25)
    truth: dict[tuple[str, str, int], bytes] = {}
    cache = Cache(System(), str(path), log_id=b"log")
    for turn, name in enumerate(FLIPPED_MODELS):
        model = cache.model(name, 3)
        rows = [Row(lsn, FLIPPED_SCOPES[lsn % 2], bytes([lsn % 4]) * 16) for lsn in range(1, 6)]
        cache.read(model, rows, gone=(), upto=5, chain=b"chain")
        for row in rows[:4]:
            cache.learn(model, [row], vectors[[(row.hash[0] + turn) % 4]])
        truth |= {(name, row.scope, row.lsn): vectors[(row.hash[0] + turn) % 4].tobytes() for row in rows}
        cache.read(model, [Row(6, "user:a", bytes([9]) * 16)], gone=(), upto=6, chain=b"chain")
    cache.close()
    db = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode = DELETE", "PRAGMA page_size = 512", "VACUUM"):
        db.execute(statement)
    db.close()
    return truth


def told_by(path: Path) -> dict[tuple[str, str, int], bytes] | None:
    """The vectors that a cache gives out; None when it is not believed."""
    cache = Cache(System(), str(path), log_id=b"log")
    try:
        found: dict[tuple[str, str, int], bytes] = {}
        for name in FLIPPED_MODELS:
            model = cache.model(name, 3)
            assert [row.lsn for row in cache.due(model, size=9, most=8)] in ([6], []), "another would be embedded"
            for scope in FLIPPED_SCOPES:
                _, lsns, vectors = cache.rows(model, scope, dimensions=3, after=0)
                found |= {(name, scope, lsn): vector.tobytes() for lsn, vector in zip(lsns, vectors, strict=True)}
    except (*UNREADABLE, Damaged):
        return None
    else:
        return found
    finally:
        cache.close()


def test_R5_no_byte_of_the_cache_can_flip_and_give_a_memory_a_vector_that_is_not_its_own(
    tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    path = tmp_path / "cache.db"
    truth = small_cache(path)
    data = path.read_bytes()
    assert told_by(path) == truth
    noticed, bits = 0, min(8, rounds(8))
    for place in range(len(data)):
        if bits == 1 and not any(data[max(0, place - 4) : place + 5]):
            continue  # room that nothing uses: for a soak
        for bit in random.Random(place).sample(range(8), bits):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            found = told_by(path)
            noticed += found is None
            assert found is None or found.items() <= truth.items(), f"byte {place}, bit {bit}"
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert noticed


def test_a_log_that_is_not_the_one_that_was_read_is_read_anew_without_a_call(tmp_path: Path) -> None:
    with walnut.open(tmp_path, embedder=Model().embedder) as m:
        embedded(filled(m))
    db = sqlite3.connect(tmp_path / "embeddings" / "cache.db")
    db.execute("UPDATE models SET chain = x'00'")
    db.execute("UPDATE placed SET lsn = lsn + 100")
    db.commit()
    db.close()
    model = Model()
    with walnut.open(tmp_path, embedder=model.embedder) as m:
        assert embedded(m).vectors == 3
        assert model.calls == 0
        assert best(m, "vessel", mode="vector") == "Ship"
    assert cached(tmp_path, "SELECT lsn FROM placed ORDER BY lsn") == [(1,), (2,), (3,)]


def test_a_cache_that_is_thrown_away_while_it_is_used_comes_back_whole() -> None:
    with walnut.open("memory://", embedder=Model().embedder) as m:
        embedded(filled(m))
        assert best(m, "vessel", mode="vector") == "Ship"
        assert m._handle.store.embedding is not None
        m._handle.store.embedding.cache._throw_away()
        m.remember("Item 7 ship")
        embedded(m)
        hits = m.recall("vessel", mode="vector", explain=True)
        assert {hit.text: hit.score > 0.9 for hit in hits[:2]} == {"Ship": True, "Item 7 ship": True}


def test_R5_a_cache_that_is_thrown_away_after_a_forget_hides_nothing_that_comes_after() -> None:
    """The new cache counts its rows from the beginning: what was read of the old one is no measure of the new."""
    with walnut.open("memory://", embedder=Model().embedder) as m:
        embedded(filled(m))
        assert best(m, "roses", mode="vector") == "Garden"
        m.forget(m.recall("roses", mode="vector")[0].memory_id)
        embedded(m)
        assert m._handle.store.embedding is not None
        m._handle.store.embedding.cache._throw_away()
        lsn = m.remember("Item 7 garden").lsn
        embedded(m)
        source, store = m._handle.store.embedding.source(), m._handle.store
        assert source is not None
        assert best(m, "roses", mode="vector") == "Item 7 garden"
        with store.views.snapshot() as snapshot:
            lsns, _ = store.models.rows(snapshot, source, "user:default", 3, upto=lsn)
        assert {1, 2, lsn} <= set(lsns.tolist())


def test_a_vector_that_comes_late_for_an_early_memory_counts_as_if_it_had_come_in_time() -> None:
    model, able = Model(), threading.Event()

    def shy(texts: Sequence[str]) -> list[list[float]]:
        if "Ship" in texts and not able.is_set():
            raise ValueError
        return model.embed(texts)

    def scores(m: walnut.Memory) -> list[tuple[str, float]]:
        return [(hit.text, hit.score) for query in ("roses", "bill") for hit in m.recall(query, mode="vector")]

    with walnut.open("memory://", embedder=model.embedder) as m:
        embedded(filled(m))
        in_time = scores(m)
    with walnut.open("memory://", embedder=FunctionEmbedder(shy, model="topics", dimensions=3)) as m:
        filled(m)
        until(m, lambda status: status.vectors == 2)
        assert best(m, "roses", mode="vector") == "Garden"
        able.set()
        assert embedded(m).vectors == 3
        assert scores(m) == in_time


def test_a_cache_of_another_store_is_not_used(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with walnut.open(tmp_path / name, embedder=Model().embedder) as m:
            embedded(filled(m))
    hashes = [set(cached(tmp_path / name, "SELECT hash FROM vectors")) for name in ("one", "two")]
    assert hashes[0].isdisjoint(hashes[1])  # nobody can test a guess without the log's secret
    shutil.copy(tmp_path / "one/embeddings/cache.db", tmp_path / "two/embeddings/cache.db")
    with walnut.open(tmp_path / "two", embedder=Model().embedder) as m:
        assert embedded(m).vectors == 3
        assert best(m, "vessel", mode="vector") == "Ship"


# --- processes ------------------------------------------------------------------------------------

DIES = """
import os, signal, sys
import walnut
from walnut.embed.function import FunctionEmbedder

calls = 0

def embed(texts):
    global calls
    calls += 1
    if calls == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    print(*texts, sep="\\n", flush=True)
    return [[1.0, 0.0, 0.0] for _ in texts]

with walnut.open(sys.argv[1], embedder=FunctionEmbedder(embed, model="topics", dimensions=3)) as m:
    m.upkeep.embed(timeout=60)
"""


def test_what_a_killed_process_has_paid_for_is_kept_and_another_goes_on(tmp_path: Path) -> None:
    texts = {f"Ship {number}" for number in range(200)}
    with walnut.open(tmp_path) as m:
        m.remember_many([{"text": text} for text in sorted(texts)])
    died = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path)], capture_output=True, text=True, timeout=LONG, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    paid = set(died.stdout.splitlines())
    assert len(paid) == 128
    model = Model()
    with walnut.open(tmp_path, embedder=model.embedder) as m:
        assert embedded(m).vectors == 200
        assert sorted(model.texts) == sorted(texts - paid)
