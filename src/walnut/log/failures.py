"""What the operating system refuses, as errors of ours."""

from __future__ import annotations

import errno

from walnut.errors import AccessDenied, DurabilityUnknown, LogBusy, StorageFailed, StorageFull, WalnutError

_READ_ONLY = "the file system is mounted read-only: copy the store to one that is not; `walnut verify` reads it there"


def storage_error(error: OSError, doing: str, *, where: str | None = None) -> WalnutError:
    """The error for a failed syscall, `where` the folder if the caller knows it; nothing was acknowledged."""
    number = error.errno or 0
    name = errno.errorcode.get(number, str(number))
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(
            f"no space while {doing} ({name})",
            where=where,
            hint="make room; earlier writes stand, and work goes on then",
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = _READ_ONLY if number == errno.EROFS else "check the folder's owner and mode"
        return AccessDenied(f"not allowed while {doing} ({name})", where=where, hint=hint)
    hint = "check the disk; nothing was acknowledged"
    return StorageFailed(f"the system failed while {doing} ({name})", where=where, hint=hint)


def unconfirmed(error: LogBusy | StorageFailed) -> DurabilityUnknown:
    """The error for what was written when it could not be synced, or the lock to say so was not to be had."""
    stuck = "a process that holds the lock is stopped or stuck: continue or end it"
    mend = stuck if isinstance(error, LogBusy) else "check the disk"
    return DurabilityUnknown(
        f"written, and not acknowledged: {error.message}",
        where=error.where,
        hint=f"{mend}, then look whether it is there",
    )


def poisoned(cause: str = "an earlier sync failed") -> DurabilityUnknown:
    """The error once a sync has failed, for every process that has the log open."""
    return DurabilityUnknown(
        f"{cause}: what was not acknowledged may or may not be on disk",
        hint="close the store and open it again; that recovers it",
    )
