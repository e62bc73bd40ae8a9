"""Faults: what a simulated machine may do beyond losing what was not synced, and when it is told to."""

from __future__ import annotations

import errno
from typing import Literal

import msgspec

Kind = Literal["EIO", "EIO-read", "ENOSPC", "EINTR", "short"]

#: The calls that each kind can befall.
SUITED: dict[str, frozenset[str]] = {
    "EIO": frozenset({"write", "truncate", "datasync", "sync", "sync-directory", "flush", "create", "rename"}),
    "EIO-read": frozenset({"read"}),
    "ENOSPC": frozenset({"write", "truncate", "create", "make-folder", "rename"}),
    "EINTR": frozenset({"lock"}),
    "short": frozenset({"write"}),
}
ERRNO = {"EIO": errno.EIO, "EIO-read": errno.EIO, "ENOSPC": errno.ENOSPC}


class Faults(msgspec.Struct, frozen=True):
    """The temper of a machine's disk: how changes of names reach it, and whether a failed sync empties the page cache.

    See the fault model.
    """

    names: Literal["journalled", "unordered"] = "journalled"
    evicting: bool = False


NONE = Faults()
