import asyncio

from walnut import aio


async def main() -> None:
    async with aio.open("./memory", scope="global") as root:
        m = await root.bind(scope="user:alice")
        # A thousand writes at once share the log's syncs; each returns when it is on disk.
        acks = await asyncio.gather(*(m.remember(f"Message {n}") for n in range(1000)))
        assert sorted(ack.lsn for ack in acks) == list(range(1, 1001))
        assert len((await m.list(limit=1000)).items) == 1000


asyncio.run(main())
