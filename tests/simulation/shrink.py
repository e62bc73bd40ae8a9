"""Shrinking: a schedule that fails, made smaller for as long as it still fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from tests.simulation.plans import Life, Plan
from tests.simulation.work import Append, Script, Step

_T = TypeVar("_T")
_replace = msgspec.structs.replace


def shrink(plan: Plan, fails: Callable[[Plan], bool], *, tries: int = 400) -> Plan:
    """The smallest schedule found within so many tries."""
    left = tries
    while left > 0:
        for smaller in _smaller(plan):
            left -= 1
            if fails(smaller):
                plan = smaller
                break
            if left <= 0:
                break
        else:
            break
    return plan


def _without(items: tuple[_T, ...], *, least: int = 1) -> Iterator[tuple[_T, ...]]:
    """With whole stretches missing, long ones first."""
    length = len(items) // 2 or 1
    while length:
        for start in range(0, len(items), length):
            rest = items[:start] + items[start + length :]
            if least <= len(rest) < len(items):
                yield rest
        length //= 2


def _smaller(plan: Plan) -> Iterator[Plan]:
    for lives in _without(plan.lives):
        yield _replace(plan, lives=lives)
    for number, life in enumerate(plan.lives):
        for smaller in _smaller_lives(life):
            yield _replace(plan, lives=(*plan.lives[:number], smaller, *plan.lives[number + 1 :]))
    if plan.switch > 0.02:
        yield _replace(plan, switch=0.02)
    if plan.evicting:
        yield _replace(plan, evicting=False)
    if plan.names == "unordered":
        yield _replace(plan, names="journalled")


def _smaller_lives(life: Life) -> Iterator[Life]:
    for scripts in _without(life.scripts):
        yield _replace(life, scripts=scripts)
    for faults in _without(life.faults, least=0):
        yield _replace(life, faults=faults)
    if life.stop:
        yield _replace(life, stop=None)
    if life.full:
        yield _replace(life, full=False)
    if life.clock:
        yield _replace(life, clock=0)
    if life.then != "none":
        yield _replace(life, then="none")
    if life.crash != "none":
        yield _replace(life, crash="none", at=0)
    for number, script in enumerate(life.scripts):
        for smaller in _smaller_scripts(script):
            yield _replace(life, scripts=(*life.scripts[:number], smaller, *life.scripts[number + 1 :]))
    for earlier in (life.at // 2, life.at - 10, life.at - 1):
        if 0 < earlier < life.at:
            yield _replace(life, at=earlier)


def _smaller_scripts(script: Script) -> Iterator[Script]:
    for threads in _without(script.threads):
        yield _replace(script, threads=threads)
    for number, steps in enumerate(script.threads):
        for fewer in _smaller_steps(steps):
            yield _replace(script, threads=(*script.threads[:number], fewer, *script.threads[number + 1 :]))


def _smaller_steps(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    yield from _without(steps, least=0)
    for number, step in enumerate(steps):
        if isinstance(step, Append) and step.request.key is None and step.request.sizes != ((8,),):
            simple = Append(_replace(step.request, sizes=((8,),)))
            yield (*steps[:number], simple, *steps[number + 1 :])
