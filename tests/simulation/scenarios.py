"""Scenarios: the short pieces of work within which exploration crashes at every single call."""

from __future__ import annotations

import msgspec

from tests.simulation.requests import Expectation, Request
from tests.simulation.work import Append, Look, Pause, Read, Reopen, Repair, Script, Sync
from walnut.model.requests import Durability


class Scenario(msgspec.Struct, frozen=True):
    """`before` is done first, without a crash; `then` is what happens to the machine; `scripts` are crashed within."""

    name: str
    scripts: tuple[Script, ...]
    before: tuple[Script, ...] = ()
    power_before: bool = False


def write(
    name: str,
    *sizes: int,
    durability: Durability = "disk",
    key: str | None = None,
    expects: Expectation = "none",
) -> Append:
    """One transaction."""
    return Append(Request(name=name, sizes=(sizes or (40,),), durability=durability, key=key, expects=expects))


def script(*steps: Append | Look | Pause | Read | Reopen | Repair | Sync, closes: bool = True) -> Script:
    """A process of one thread."""
    return Script(threads=(steps,), closes=closes)


_SOME = script(*(write(f"b{n}", 40, 300) for n in range(4)))
_UNCLEAN = script(*(write(f"b{n}", 40, 300) for n in range(4)), write("bp", 300, durability="process"), closes=False)
_NEARLY_FULL = script(*(write(f"b{n}", 700) for n in range(3)), closes=False)

SCENARIOS = (
    Scenario("create", (script(write("a1"), closes=False),)),
    Scenario(
        "append",
        (
            script(
                write("a1"),
                write("a2", 8, 40, 300),
                write("p1", 300, durability="process"),
                write("a3", 2000),
                write("a4", 40, key="key"),
                write("a4", 40, key="key"),
                Sync(),
                closes=False,
            ),
        ),
        before=(_SOME,),
    ),
    Scenario(
        "roll",
        (script(write("a1", 1500), write("p1", 1500, durability="process"), write("a2", 700), closes=False),),
        before=(_NEARLY_FULL,),
    ),
    Scenario(
        "frames",
        (
            Script(
                threads=(
                    (
                        Append(Request(name="t1", sizes=((40,), (300, 8), (900,)), times=True)),
                        Append(Request(name="t2", sizes=((40,), (8,)), times=True, durability="process")),
                        Append(Request(name="t3", sizes=((1500,), (1500,)), times=True)),
                    ),
                    (write("a1"), write("a2", 300)),
                ),
                closes=False,
            ),
        ),
        before=(_SOME,),
    ),
    Scenario("roll-process", (script(*(write(f"p{n}", 900, durability="process") for n in range(6)), closes=False),)),
    Scenario(
        "keeper",
        (script(write("a1", 700), Pause(2.5), write("a2", 1500), Pause(2.5), closes=False),),
        before=(_NEARLY_FULL,),
    ),
    Scenario("close", (script(write("a1"), write("p1", durability="process")),), before=(_SOME,)),
    Scenario("reopen", (script(write("a1"), Reopen(), write("a2"), closes=False),), before=(_SOME,)),
    Scenario("recovery", (script(write("a1"), closes=False),), before=(_UNCLEAN,)),
    Scenario("recovery-power", (script(write("a1"), closes=False),), before=(_UNCLEAN,), power_before=True),
    Scenario("checkpoint", (script(write("a1"), Look(), write("a2"), Look()),), before=(_SOME,)),
    Scenario("repair-sound", (script(write("a1"), Repair(), write("a2")),), before=(_SOME,)),
    Scenario(
        "joining",
        (
            script(write("a1"), write("a2", 900), write("a3", 900), closes=False),
            script(write("c1"), write("c2", 900, durability="process"), write("c3", 40)),
        ),
        before=(_SOME,),
    ),
    Scenario(
        "replay",
        (
            script(
                write("k1", 40, durability="process", key="one"),
                write("k1", 40, key="one"),
                write("k2", 300, durability="process", key="two"),
                write("k2", 300, durability="process", key="two"),
                closes=False,
            ),
        ),
        before=(_SOME,),
    ),
    Scenario(
        "conditions",
        (
            script(Pause(0.1), *(write(f"a{n}", expects="current") for n in range(3)), closes=False),
            Script(
                threads=tuple(
                    (Pause(0.1), *(write(f"{name}{n}", 8, 8, expects="matches") for n in range(2)))
                    for name in ("c", "d")
                ),
                closes=False,
            ),
        ),
        before=(_SOME,),
    ),
    Scenario(
        "adopting",
        (
            script(Pause(0.1), write("a1", 900), closes=False),
            script(Pause(0.2), write("c1"), write("c2", durability="process"), Sync(), closes=False),
        ),
        before=(_NEARLY_FULL,),
    ),
    Scenario(
        "following",
        (
            script(Pause(0.1), write("a1", 300), write("a2", 8), closes=False),
            script(Pause(0.2), write("c1", 1500), write("c2", durability="process"), closes=False),
        ),
        before=(_NEARLY_FULL,),
    ),
    Scenario(
        "leaving",
        (script(write("a1")), script(write("c1"), Reopen(), write("c2"), closes=False)),
        before=(_SOME,),
    ),
    Scenario(
        "recovering-two",
        (
            script(write("a1"), write("a2", 300, durability="process"), closes=False),
            script(write("c1"), Sync(), closes=False),
        ),
        before=(_UNCLEAN,),
        power_before=True,
    ),
    Scenario(
        "outliving",
        (
            script(write("a1"), write("a2", 300, durability="process"), Sync(), closes=False),
            script(Pause(0.05), write("c1", 300), write("c2", 900, durability="process"), Sync(), closes=False),
            script(Pause(5), write("d1"), write("d2", 900), Reopen(), write("d3"), closes=False),
        ),
        before=(_NEARLY_FULL,),
    ),
    Scenario(
        "sync-beside-roll",
        (
            Script(
                threads=(
                    (write("a1", 900), write("a2", 1500)),
                    (Sync(), write("p1", durability="process"), Sync(), Sync()),
                ),
                closes=False,
            ),
        ),
        before=(_NEARLY_FULL,),
    ),
    Scenario(
        "threads",
        (
            Script(
                threads=(
                    (write("a1"), write("a2", 300)),
                    (write("c1", 40, 40), write("c2", durability="process")),
                    (write("d1", 900), write("d2", 8)),
                ),
                closes=False,
            ),
        ),
        before=(_SOME,),
    ),
)
