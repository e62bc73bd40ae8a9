"""The face for asyncio on real stores: thousands of writers, cancellation, tails, the end of a loop."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import walnut
from walnut import aio
from walnut.system import System


@pytest.fixture(params=["memory", "files"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else str(tmp_path / "store")


def test_two_thousand_coroutines_share_one_committer(url: str) -> None:
    async def main() -> None:
        async with aio.open(url) as m:
            acks = await asyncio.gather(*[m.remember(f"note {n}", key=f"k{n}") for n in range(2_000)])
            assert sorted(ack.lsn for ack in acks) == list(range(1, 2_001))
            assert {ack.durability for ack in acks} == {"disk"}
            assert (await m.get(key="k1999")).text == "note 1999"

    asyncio.run(main())


def test_it_does_what_the_face_for_threads_does(url: str) -> None:
    async def main() -> None:
        m = await aio.open(url, scope="user:alice")
        ack = await m.remember("Prefers CSV exports", key="format", idempotency_key="once")
        assert (await m.remember("Prefers CSV exports", key="format", idempotency_key="once")).replayed
        with pytest.raises(walnut.VersionConflict):
            await m.remember("PDF", key="format", expected_version=0)
        assert [hit.text for hit in await m.recall("export format")] == ["Prefers CSV exports"]
        assert "CSV" in (await m.context("export format")).text
        await m.remember_many([{"text": "one", "caused_by": [ack]}, {"text": "two"}])
        assert len((await m.list()).items) == 3
        plan = await m.plan_revert(events=[ack])
        assert (await m.apply(plan)).version is not None
        assert (await (await m.as_of(lsn=ack.lsn)).get(ack.memory_id)).text == "Prefers CSV exports"
        bound = await m.bind(scope="user:alice/session:1")
        two = await bound.remember("session note")
        await bound.forget(two.memory_id or "")
        assert len(await bound.history(two.memory_id or "")) == 2
        assert [event.lsn async for event in m.log.read(after=1, upto=1)] == []
        assert (await m.log.verify()).ok
        await m.close()
        with pytest.raises(walnut.StoreClosed):
            await m.remember("x")

    asyncio.run(main())


def test_of_many_forgets_one_wins(url: str) -> None:
    async def main() -> None:
        async with aio.open(url) as m:
            memory_id = (await m.remember("tea")).memory_id or ""
            ends = await asyncio.gather(*[m.forget(memory_id) for _ in range(20)], return_exceptions=True)
            assert sum(isinstance(end, walnut.Ack) for end in ends) == 1
            assert sum(isinstance(end, walnut.NotFound) for end in ends) == 19

    asyncio.run(main())


def test_a_cancelled_write_is_written_whole_or_not_at_all(url: str) -> None:
    async def main() -> None:
        async with aio.open(url) as m:
            tasks = [asyncio.create_task(m.remember(f"note {n}", idempotency_key=str(n))) for n in range(200)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            acks = [await m.remember(f"note {n}", idempotency_key=str(n)) for n in range(200)]
            assert len({ack.lsn for ack in acks}) == 200
            assert [event.lsn async for event in m.log.read()] == list(range(1, 201))

    asyncio.run(main())


def test_many_tails_wait_without_a_thread_each(url: str) -> None:
    async def first(m: aio.AsyncMemory) -> str:
        async for event in m.log.tail():
            assert event.content is not None
            return str(event.content.payload["text"])
        return ""

    async def main() -> None:
        async with aio.open(url) as m:
            tails = [asyncio.create_task(first(m)) for _ in range(50)]
            while m.log.durable_lsn == 0 or not all(task.done() for task in tails):
                await m.remember("tea")
            assert {task.result() for task in tails} == {"tea"}
            assert [event async for event in m.log.tail(timeout=0)] == []

    asyncio.run(main())


def test_it_belongs_to_its_loop_and_leaves_nothing_behind(url: str, recwarn: pytest.WarningsRecorder) -> None:
    async def main() -> Callable[[], object]:
        m = await aio.open(url)
        task = asyncio.create_task(m.remember("tea"))
        await asyncio.sleep(0)
        task.cancel()
        return m._handle.close

    asyncio.run(main())()
    assert not recwarn.list


class Forgetful(System):
    """A machine that runs out of memory where the next write is admitted."""

    short = False

    def now(self) -> int:
        if self.short and threading.current_thread().name == "walnut-committer":
            self.short = False
            raise MemoryError
        return super().now()


def test_L10_when_memory_runs_out_in_a_commit_its_callers_hear_of_it_and_work_goes_on(tmp_path: Path) -> None:
    system = Forgetful()

    async def many() -> list[object]:
        async with await aio.open(str(tmp_path / "store"), system=system) as m:
            await m.remember("before")
            system.short = True
            writes = [m.remember(f"text {number}") for number in range(8)]
            done = await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), 60)
            ack = await asyncio.wait_for(m.remember("after"), 60)
            assert [each.lsn async for each in m.log.read()] == [*range(1, ack.lsn + 1)]
            return [*done]

    done = asyncio.run(many())
    assert any(isinstance(each, MemoryError) for each in done)
