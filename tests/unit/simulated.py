"""A file on a simulated disk, made and looked at."""

from walnut.testing.sim import SimMachine, SimSystem

SECTOR = 512


def stored(machine: SimMachine, path: str) -> bytes | None:
    """What a process finds in a file."""

    def look(system: SimSystem) -> bytes | None:
        if not system.exists(path):
            return None
        fd = system.open_file(path, write=False)
        return system.read_at(fd, system.file_size(fd), 0)

    return machine.call(look)


def made(system: SimSystem, *, size: int = 2 * SECTOR) -> int:
    """An empty file of sure name and size."""
    fd = system.open_file("/f", create=True)
    system.truncate(fd, size)
    system.sync(fd)
    system.sync_directory("/")
    return fd
