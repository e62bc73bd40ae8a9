"""A contract's parts: cases that can be run one by one, and the report of all of them as data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")


class Unsupported(Exception):
    """The backend can't do what this case needs (reopen, for one); the report says so."""


class CaseLimit(msgspec.Struct, frozen=True):
    """Seconds after which a case of a report counts as broken."""

    seconds: float = 60.0


class Case(msgspec.Struct, frozen=True):
    """One promise: `check()` returns if it is kept; raises Unsupported, or what shows it is broken."""

    name: str
    check: Callable[[], None]

    def __str__(self) -> str:
        return self.name


class Outcome(msgspec.Struct, frozen=True):
    """What became of a case; `detail` names the error, or why it was skipped."""

    name: str
    verdict: Literal["kept", "broken", "skipped"]
    detail: str = ""


class Report(msgspec.Struct, frozen=True):
    """All outcomes of a contract; `ok` when none is broken. `str()` gives one line for each."""

    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Whether no promise is broken."""
        return all(outcome.verdict != "broken" for outcome in self.outcomes)

    def __str__(self) -> str:
        return "\n".join(f"{each.verdict:8}{each.name} {each.detail}".rstrip() for each in self.outcomes)


def report(cases: Iterable[Case], *, limit: CaseLimit | None = None) -> Report:
    """Run the cases one after the other, each in a thread of its own that may take `limit`."""
    seconds = (limit or CaseLimit()).seconds
    return Report(tuple(_outcome(case, seconds) for case in cases))


def _outcome(case: Case, seconds: float) -> Outcome:
    done: Future[None] = Future()
    thread = threading.Thread(target=_settle, args=(case, done), name=case.name, daemon=True)
    thread.start()
    thread.join(seconds)
    if not done.done():
        return Outcome(case.name, "broken", f"did not end within {seconds} s")
    error = done.exception()
    if error is None:
        return Outcome(case.name, "kept")
    verdict: Literal["broken", "skipped"] = "skipped" if isinstance(error, Unsupported) else "broken"
    return Outcome(case.name, verdict, f"{type(error).__name__}: {error}")


def _settle(case: Case, done: Future[None]) -> None:
    pool = ThreadPoolExecutor(1)
    inner = pool.submit(case.check)
    pool.shutdown(wait=True)
    error = inner.exception()
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def cases_of(functions: Iterable[Callable[[T], None]], run: Callable[[Callable[[T], None]], None]) -> list[Case]:
    """One case for each function, named like it; `run` gives the function what it needs."""
    if not __debug__:
        raise RuntimeError("contracts assert: run them without python -O")

    def check_of(function: Callable[[T], None]) -> Callable[[], None]:
        return lambda: run(function)

    return [Case(function.__name__, check_of(function)) for function in functions]


def promises_in(*namespaces: dict[str, object]) -> list[Callable[..., None]]:
    """The functions named `test_…` of these modules, in their order."""
    return [
        value
        for namespace in namespaces
        for name, value in namespace.items()
        if name.startswith("test_") and callable(value)
    ]


def together(count: int, work: Callable[[int], T]) -> list[T | BaseException]:
    """Call `work(0)` … `work(count - 1)` at one moment, each in its thread; results or errors in order."""
    gate = threading.Barrier(count)

    def start(number: int) -> T:
        gate.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(start, number) for number in range(count)]
        return [future.exception() or future.result() for future in futures]
