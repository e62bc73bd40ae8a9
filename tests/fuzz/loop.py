"""The long form: mutated inputs by the clock from a seed, in little memory, with a table of what became of them."""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from tests.fuzz.mutate import Step, drawn, mutated
from tests.fuzz.registry import CORPUS
from tests.fuzz.target import Failure, Target, Trial

#: What an input may take beyond what the process holds when it begins (bytes).
MEMORY = 1 << 30
#: Inputs that get new mutations on top: those that were accepted, so that the next ones go deeper.
_KEPT = 200


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a target's inputs; `failures` names each kind of failure once."""

    target: str
    tried: int
    refused: int
    accepted: int
    crashes: int
    hangs: int
    lies: int
    failures: tuple[str, ...] = ()


def limit_memory(more: int = MEMORY) -> None:
    """Let this process take only so much more: what allocates without bound fails (Linux)."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))


def run(target: Target, *, seconds: float, inputs: int, seed: int, save: Path) -> Row:
    """Try inputs until the time or their number is up; failing ones are saved, the first of each kind."""
    trial, chance = Trial(target), random.Random(f"{seed} {target.name}")
    counts = {"crash": 0, "hang": 0, "lie": 0}
    known: dict[str, str] = {}
    end = time.monotonic() + seconds
    for data, signed, steps, base in _inputs(target, trial, chance):
        failure = trial(data, signed=signed)
        if failure is not None:
            counts[failure.kind] += 1
            place = failure.told.partition(" at ")[2] or failure.told
            if place not in known:
                known[place] = _told(_shrunk(target, failure, steps, base), save)
        if time.monotonic() > end or trial.tried >= inputs:
            break
    return Row(
        target=target.name,
        tried=trial.tried,
        refused=trial.refused,
        accepted=trial.accepted,
        crashes=counts["crash"],
        hangs=counts["hang"],
        lies=counts["lie"],
        failures=tuple(known.values()),
    )


def _inputs(target: Target, trial: Trial, chance: random.Random) -> Iterator[tuple[bytes, bool, list[Step], bytes]]:
    """What was found harmful first, then mutations of seeds and of what was accepted, signed as often as not."""
    for path in sorted((CORPUS / target.name).glob("*")):
        yield path.read_bytes(), target.sign is not None or not target.sealed, [], path.read_bytes()
    kept: list[bytes] = []
    while True:
        base = chance.choice(kept) if kept and chance.random() < 0.3 else chance.choice(target.seeds)
        steps = [drawn(chance) for _ in range(chance.choice((1, 1, 2, 3, 5)))]
        data = mutated(base, steps, target.seeds)
        signed = target.sign is not None and chance.random() < 0.6
        if signed and target.sign is not None:
            data = target.sign(data)
        accepted = trial.accepted
        yield data, signed or base in kept, steps, base
        if trial.accepted > accepted and len(data) < 65536:
            kept = [*kept[-_KEPT:], data]


def _shrunk(target: Target, failure: Failure, steps: Sequence[Step], base: bytes) -> Failure:
    """The failure with as few of the steps as still show it."""
    for left_out in reversed(range(len(steps))):
        fewer = [*steps[:left_out], *steps[left_out + 1 :]]
        data = mutated(base, fewer, target.seeds)
        if failure.signed and target.sign is not None:
            data = target.sign(data)
        again = Trial(target)(data, signed=failure.signed)
        if again is not None and again.kind == failure.kind:
            return _shrunk(target, again, fewer, base)
    return failure


def _told(failure: Failure, save: Path) -> str:
    name = blake2b(failure.data, digest_size=6).hexdigest()
    folder = save / failure.target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(failure.data)
    return f"{failure.kind}: {failure.told} (saved as {folder / name})"
