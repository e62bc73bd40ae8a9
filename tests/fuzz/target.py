"""What a decoder under test is, how one input is tried on it, and what counts as a failure."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import msgspec

from walnut.errors import WalnutError

#: Seconds of processor time that one input may take: far more than any needs, so that a slow machine fails nothing.
LIMIT = 20.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder: valid inputs, how it reads one, and how its checksums are made good again.

    `read` returns what was read, None when it refused; one of `refusals` refuses too. Where
    `sealed`, what is read from an input whose checksums were not made good must be what a seed holds.
    """

    name: str
    seeds: Sequence[bytes]
    read: Callable[[bytes], object]
    sign: Callable[[bytes], bytes] | None = None
    refusals: tuple[type[Exception], ...] = (WalnutError,)
    sealed: bool = False


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What an input did that none may: `kind` is crash, hang or lie (something else passed as valid)."""

    target: str
    kind: str
    told: str
    data: bytes
    signed: bool = False


class Hung(BaseException):
    """The input took longer than it may."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise Hung in the block once it has used so much processor time. Main thread only."""

    def stop(_: int, __: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class Trial:
    """One target being tried: counts inputs by what became of them, and judges each."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.tried = self.refused = self.accepted = 0
        self._valid = [target.read(seed) for seed in target.seeds] if target.sealed else []
        assert all(each is not None for each in self._valid), f"{target.name} refuses its own seeds"

    def __call__(self, data: bytes, *, signed: bool = False) -> Failure | None:
        """Try an input; None when it was refused, or read as what it is."""
        target = self.target
        self.tried += 1

        def failure(kind: str, told: str) -> Failure:
            return Failure(target=target.name, kind=kind, told=told, data=data, signed=signed)

        try:
            with limited(LIMIT):
                found = target.read(data)
        except target.refusals:
            found = None
        except Hung:
            return failure("hang", f"more than {LIMIT:g} s of processor time")
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - what is reported is any error that is not ours
            where = traceback.extract_tb(error.__traceback__)[-6:]
            told = " < ".join(f"{each.filename.rpartition('/')[2]}:{each.lineno}" for each in reversed(where))
            return failure("crash", f"{type(error).__name__}: {str(error)[:200]} at {told}")
        if found is None:
            self.refused += 1
            return None
        self.accepted += 1
        if target.sealed and not signed and found not in self._valid:
            return failure("lie", "read without an error, and not what was written")
        return None
