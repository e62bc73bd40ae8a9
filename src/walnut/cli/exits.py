"""Exit codes: what each means, and which error ends with which."""

from __future__ import annotations

import errno

from walnut import errors

OK, NOTHING, USAGE, DAMAGE, CONFLICT, STORAGE, NO_STORE, INTERRUPTED, NO_READER = 0, 1, 2, 3, 4, 5, 6, 130, 141

#: The documented table; a test holds the reference page to it.
MEANING: dict[int, str] = {
    OK: "done",
    NOTHING: "nothing was found, the answer was no, a check is not passed, a file to import was refused",
    USAGE: "the command is not understood: an argument, an option, a value, a missing file",
    DAMAGE: "damage was found in the log, or a view differs from what the log says",
    CONFLICT: "busy, in conflict or stale: something else was first; try again",
    STORAGE: "storage is full or failed, or whether a write is on disk can't be known",
    NO_STORE: "not a store, of a newer format, not permitted, or not possible on this machine",
    INTERRUPTED: "interrupted with Ctrl-C; what was acknowledged is on disk",
    NO_READER: "the reader of the output went away (`walnut log | head`)",
}

# The first that fits counts, so children stand above their parents.
_BY_ERROR: tuple[tuple[type[errors.WalnutError], int], ...] = (
    (errors.NotFound, NOTHING),
    (errors.ImportRejected, NOTHING),
    (errors.InvalidArgument, USAGE),
    (errors.LogCorruption, DAMAGE),
    (errors.ViewFailed, DAMAGE),
    (errors.VersionConflict, CONFLICT),
    (errors.IdempotencyConflict, CONFLICT),
    (errors.StalePlan, CONFLICT),
    (errors.LogBusy, CONFLICT),
    (errors.ViewLag, CONFLICT),
    (errors.EmbedderFailed, CONFLICT),
    (errors.StorageFull, STORAGE),
    (errors.StorageFailed, STORAGE),
    (errors.DurabilityUnknown, STORAGE),
    (errors.StoreClosed, STORAGE),
    (errors.NotAStore, NO_STORE),
    (errors.AccessDenied, NO_STORE),
    (errors.FormatTooNew, NO_STORE),
    (errors.UnsupportedFileSystem, NO_STORE),
    (errors.UnsupportedPlatform, NO_STORE),
)
_MISSING = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class Usage(errors.InvalidArgument):
    """The command line is not understood."""

    code = "usage"


class Missing(errors.UnsupportedPlatform):
    """An optional part of Walnut is not installed."""

    code = "not_installed"


def code_of(error: errors.WalnutError) -> int:
    """The exit code of an error of ours."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), NOTHING)


def code_of_os(error: OSError) -> int:
    """The exit code of an error of the operating system, about a file named on the command line."""
    if error.errno in _MISSING:
        return USAGE
    return NO_STORE if error.errno in _FORBIDDEN else STORAGE
