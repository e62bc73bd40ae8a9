"""The power goes under real processes on a real file system: images of its disk, cut anywhere, are mounted and judged.

Each life has one recording: one to three processes write to a store on a disk that remembers, some are killed and
replaced, and all the disk was asked for is on its tape. From it any number of images are made. The machine that finds
one has another boot id. Some are cut again in the middle of their recovery.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import walnut
from tests.crash import mounts
from tests.crash.mounts import CannotMount
from tests.crash.platter import Fate, Tape
from tests.crash.stores import batches_are_whole, say, small_segments
from tests.crash.tally import Tally
from tests.crash.user import SEGMENTS, Told, keyed, text
from tests.crash.users import Users
from walnut import Memory
from walnut.system import System

STORE = "store"
#: Names the folder that images with a problem are kept in, if there is one.
KEEP = "WALNUT_KEEP_IMAGES"


class Elsewhere(System):
    """The machine after a reboot."""

    def __init__(self, boot: int) -> None:
        self._boot = boot

    def boot_id(self) -> bytes:
        return self._boot.to_bytes(16, "big")


class Lost(AssertionError):
    """An event was acknowledged and is not there."""


def record(folder: Path, seed: int, *, kind: str, failing: bool) -> tuple[Tape, list[Told], int]:
    """One life of a store: its disk's tape, from before it was made until after it was unmounted; acks; failures."""
    image = mounts.make(kind, folder / "image")
    with (
        mounts.remembering(image, folder / "recorded") as disk,
        mounts.mounted(disk.device, folder / "mount", kind=kind) as point,
    ):
        told = Users(point / STORE, folder, disk, seed, failing=failing).run()
    return Tape(image.read_bytes(), disk.tape), told, disk.failed()


def judge(m: Memory, known: list[Told]) -> int:
    """All that a store that was opened again must keep; the number of its events."""
    events = list(m.log.read())
    assert [event.lsn for event in events] == list(range(1, len(events) + 1)), "LSNs are not dense"
    texts = [str(event.content.payload.get("text", "")) if event.content else "" for event in events]
    for each in known:
        if each.lsn > len(events):
            raise Lost(f"{each}, and the log ends at {len(events)}")
        if (events[each.lsn - 1].id, texts[each.lsn - 1]) != (each.event_id, text(each.tag)):
            raise Lost(f"{each}: another event is there")
    tags = [given.split(" ")[0] for given in texts if given]
    assert all(given == text(tag) for given, tag in zip(filter(None, texts), tags, strict=True)), "changed content"
    assert len(set(tags)) == len(tags), "an event is there twice"
    batches_are_whole(tags)
    report = m.log.verify()
    assert report.ok, report
    return len(events)


def survive(store: Path, known: list[Told], chance: random.Random, *, boot: int, here: Callable[[], int]) -> list[Told]:
    """Open what a cut left, judge it, write on; returns what was acknowledged then (`here` is the position)."""
    if not (store / "FORMAT").exists() and known:
        raise Lost(f"the store itself, and {len(known)} events")
    added = []
    with (
        small_segments(*SEGMENTS),
        walnut.open(store, scope="global", system=Elsewhere(boot), checkpoint_every=100) as m,
    ):
        last = judge(m, known)
        for each in chance.sample(known, min(3, len(known))):
            key = keyed(each.tag)
            if key is not None and each.tag.endswith(".0.1"):
                again = m.remember(text(each.tag), idempotency_key=key)
                assert (again.lsn, again.event_id, again.replayed) == (each.lsn, each.event_id, True)
        for number in range(2):
            tag = f"b{boot}.after.{last + number}.0.1"
            ack = m.remember(text(tag), idempotency_key=keyed(tag))
            added.append(Told(here(), ack.lsn, ack.event_id, tag))
        judge(m, known + added)
        if chance.random() < 0.5:
            m.recall(text(known[-1].tag) if known else "nothing")  # builds the view anew where it must
            wrong = [check for check in m.upkeep.verify_views() if not check.ok]
            assert not wrong, f"views differ from a replay: {wrong}"
    return added


def _cuts(tape: Tape, told: list[Told], chance: random.Random, count: int) -> list[int]:
    """Where to cut: anywhere, and right after acks, where one that came too early shows."""
    places = [each.position for each in told] or [len(tape)]
    return sorted(chance.choice([chance.randint(0, len(tape)), chance.choice(places)]) for _ in range(count))


class Trial:
    """Recordings and cuts, counted."""

    def __init__(self, folder: Path, tally: Tally, *, kind: str, failing: bool) -> None:
        self._folder, self._tally, self._kind, self._failing = folder, tally, kind, failing

    def run(self, seed: int, *, cuts: int) -> None:
        """One recording, cut so many times; every eighth image again in its recovery."""
        chance = random.Random(seed)
        self._tally.count("recordings")
        tape, told, failures = record(self._folder, seed, kind=self._kind, failing=self._failing)
        self._tally.count("writes recorded", len(tape))
        if failures:
            self._tally.count("writes and flushes that failed", failures)
        for number, cut in enumerate(_cuts(tape, told, chance, cuts)):
            known = [each for each in told if each.position <= cut]
            self._cut(f"seed {seed}", tape, cut, known, chance, boot=100 * number, again=3 * (number % 8 == 7))

    def _cut(
        self, name: str, tape: Tape, cut: int, known: list[Told], chance: random.Random, *, boot: int, again: int
    ) -> None:
        fate = chance.choice(list(Fate))
        name = f"{name}, cut {cut} of {len(tape)} with {fate.value} of {tape.unflushed(cut)}"
        image = self._folder / "image"
        found = tape.image(cut, fate, chance)
        image.write_bytes(found)
        self._tally.tried += 1
        self._tally.acknowledged += len(known)
        self._tally.count(f"cuts with {fate.value}")
        try:
            if again:
                self._recover_and_cut(name, image, known, chance, boot=boot + 1, cuts=again)
            else:
                with self._found(image) as point:
                    survive(point / STORE, known, chance, boot=boot + 1, here=lambda: 0)
        except Lost as error:
            self._tally.lost += 1
            self._tally.problems.append(f"lost, {name}: {error}")
            self._keep(found)
        except (AssertionError, walnut.WalnutError) as error:
            self._tally.silent += isinstance(error, AssertionError)
            self._tally.problems.append(f"{name}: {type(error).__name__}: {error}")
            self._keep(found)
        except CannotMount as error:
            self._tally.count("images that the file system itself gave up")
            say(f"{name}: {error}")

    def _keep(self, image: bytearray) -> None:
        """The image that a problem was found in, where somebody wants to look at it."""
        if os.environ.get(KEEP):
            path = Path(os.environ[KEEP]) / f"image-{len(self._tally.problems)}"
            path.write_bytes(image)
            say(f"kept as {path}")

    @contextmanager
    def _found(self, image: Path) -> Iterator[Path]:
        """Mount an image, after a repair if it can't be mounted as it is."""
        with ExitStack() as stack:
            try:
                point = stack.enter_context(mounts.mounted(image, self._folder / "mount", kind=self._kind))
            except CannotMount:
                self._tally.count("images mounted only after a repair")
                subprocess.run(["e2fsck", "-p", str(image)], check=False, capture_output=True)
                point = stack.enter_context(mounts.mounted(image, self._folder / "mount", kind=self._kind))
            yield point

    def _recover_and_cut(
        self, name: str, image: Path, known: list[Told], chance: random.Random, *, boot: int, cuts: int
    ) -> None:
        base = image.read_bytes()
        with (
            mounts.remembering(image, self._folder / "recovering") as disk,
            mounts.mounted(disk.device, self._folder / "mount", kind=self._kind) as point,
        ):
            added = survive(point / STORE, known, chance, boot=boot, here=disk.now)
        tape = Tape(base, disk.tape)
        self._tally.count("recoveries recorded")
        for number, cut in enumerate(_cuts(tape, added, chance, cuts)):
            more = known + [each for each in added if each.position <= cut]
            self._tally.count("cuts in a recovery")
            self._cut(f"{name}, recovery", tape, cut, more, chance, boot=boot + 2 * number + 2, again=0)


def run(*, images: int, kind: str = "ext4", failing: bool = False, seed: int = 0) -> Tally:
    """Cut until there are so many images. Needs root, FUSE and loop devices, else it is skipped with the reason."""
    fault = f"failing disk and power loss, {kind}" if failing else f"power loss, {kind}"
    tally = Tally(fault=fault, counts={}, problems=[])
    begun = time.monotonic()
    tally.skipped = mounts.unable(kind)
    seed = seed or random.SystemRandom().getrandbits(30)
    while tally.tried < images and not tally.skipped:
        with mounts.quick_folder() as folder:
            say(f"{tally.fault}: seed {seed}, {tally.tried} images, {tally.lost} lost")
            Trial(folder, tally, kind=kind, failing=failing).run(seed, cuts=min(20, images - tally.tried))
        seed += 1
    tally.seconds = time.monotonic() - begun
    return tally
