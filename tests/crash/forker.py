"""Programs for the tests of forks, interrupts and stopped processes: `python -m tests.crash.forker what folder`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

import walnut
from tests.crash.faults import DiesAt
from tests.crash.stores import fill, single, small_segments, wait_until
from walnut.errors import StoreClosed
from walnut.log.file_log import FileLog
from walnut.system import System


def forks(folder: str) -> None:
    """Fork again and again while threads append and read; the children must end by themselves."""
    log = FileLog.open(System(), folder)
    go_on = threading.Event()
    written = [0, 0, 0]

    def append(name: int) -> None:
        while not go_on.is_set():
            log.append(single(f"t{name}-{written[name]}.0.1", 300))
            written[name] += 1

    def read() -> None:
        while not go_on.is_set():
            list(log.read())
            for number in range(1, 4):
                FileLog.open(System(), f"{folder}-{number}").close()  # files are opened and closed all the time

    threads = [threading.Thread(target=append, args=(name,), daemon=True) for name in range(3)]
    threads.append(threading.Thread(target=read, daemon=True))
    for thread in threads:
        thread.start()
    for number in range(20):
        goal = sum(written) + 5
        wait_until(lambda goal=goal: sum(written) >= goal)  # type: ignore[misc]
        child = os.fork()
        if not child:
            os._exit(in_child(log, folder, number))
        _, status = os.waitpid(child, 0)
        assert status == 0, status
    go_on.set()
    for thread in threads:
        thread.join()
    log.close()
    sys.stdout.write(f"{sum(written)}\n")


def in_child(log: FileLog, folder: str, number: int) -> int:
    """What a forked child finds: 0 when all is as promised."""
    signal.alarm(20)
    try:
        log.append(single("child.0.1"))
    except StoreClosed:
        pass
    else:
        return 1
    try:
        log.get(1)
    except StoreClosed:
        log.close()
    else:
        return 2
    if number % 5 == 0:
        with FileLog.open(System(), folder) as own:
            own.append(single(f"child-{number}.0.1"))
    return 0


def leaves_child(folder: str) -> None:
    """Fork a child that lives on, say so, and wait to be killed."""
    log = FileLog.open(System(), folder)
    fill(log, 5)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, b"x")
        signal.pause()
        os._exit(0)
    os.read(read, 1)  # it is past what is done in forked children
    sys.stdout.write(f"{child}\n")
    sys.stdout.flush()
    signal.pause()


class ClosesSlowly(System):
    """Stops half-way through closing its files, until a fork is over, but not for ever."""

    def __init__(self) -> None:
        self.closing, self.forked = threading.Event(), threading.Event()
        self.armed = False

    def close_file(self, fd: int) -> None:
        if self.armed:
            self.closing.set()
            self.forked.wait(0.2)
        super().close_file(fd)


def leaves_child_closing(folder: str) -> None:
    """The same while another thread closes the log."""
    system = ClosesSlowly()
    log = FileLog.open(system, folder)
    fill(log, 5)
    system.armed = True
    closing = threading.Thread(target=log.close)
    closing.start()
    system.closing.wait(60)
    child = os.fork()
    if not child:
        signal.pause()
        os._exit(0)
    system.forked.set()
    closing.join()
    sys.stdout.write(f"{child}\n")
    sys.stdout.flush()
    signal.pause()


class StopsAt(DiesAt):
    """Stops its process instead of killing it: at `write`, say, or for `datasync>store` at the store after a sync."""

    def at(self, name: str, half: object) -> None:
        first, _, then = self._name.partition(">")
        if not self._armed or not name.startswith(first):
            return
        self._name = then
        if not then:
            self._armed = False
            stop()


def stop() -> None:
    sys.stdout.write("stopped\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGSTOP)


class StopsApplying(System):
    """Stops its process as soon as it may apply, once."""

    stopped = False

    def try_lock_file(self, fd: int, *, shared: bool = False) -> bool:
        held = super().try_lock_file(fd, shared=shared)
        if held and not self.stopped and os.readlink(f"/proc/self/fd/{fd}").endswith("/applier.lock"):
            self.stopped = True
            stop()
        return held


def stops_applying(folder: str) -> None:
    """Remember, stop while the views are brought up to it, and finish when continued."""
    with walnut.open(folder, scope="global", system=StopsApplying()) as m:
        m.remember("the stopped one")
        assert len(m.recall("stopped", mode="keyword")) == 1
    sys.stdout.write("ended\n")


def stops(folder: str, where: str) -> None:
    """Append, stop at a touch of the next append, and finish it when continued."""
    system = StopsAt(1, half=False, name=where)
    with FileLog.open(system, folder) as log:
        fill(log, 3, prefix="stops")
        system.arm()
        log.append(single("stopped.0.1"))
    sys.stdout.write("ended\n")


def interrupted(folder: str) -> None:
    """Append while interrupts rain down, then once more."""
    log = FileLog.open(System(), folder)
    main = threading.get_ident()

    begin = threading.Event()

    def rain() -> None:
        begin.wait()
        for _ in range(400):
            threading.Event().wait(0.0005)
            signal.pthread_kill(main, signal.SIGINT)

    shower = threading.Thread(target=rain, daemon=True)
    shower.start()
    names = iter(range(10**9))
    written = 0
    while True:
        try:
            begin.set()
            while shower.is_alive():
                log.append(single(f"i{next(names)}.0.1", 300))
                written += 1
            shower.join()
            break
        except KeyboardInterrupt:
            continue
    log.append(single("last.0.1"))
    log.close()
    sys.stdout.write(f"{written}\n")


PROGRAMS: dict[str, Callable[..., None]] = {
    "forks": forks,
    "leaves_child": leaves_child,
    "leaves_child_closing": leaves_child_closing,
    "stops": stops,
    "stops_applying": stops_applying,
    "interrupted": interrupted,
}

if __name__ == "__main__":
    with small_segments():
        PROGRAMS[sys.argv[1]](*sys.argv[2:])
