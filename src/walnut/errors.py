"""The one tree of errors: each has a stable code, says where it happened, and hints what to do.

No message ever holds what a user stored: ids, LSNs, file names, offsets and sizes only.
"""

from __future__ import annotations

__all__ = [
    "AccessDenied",
    "DurabilityUnknown",
    "EmbedderFailed",
    "FormatTooNew",
    "IdempotencyConflict",
    "ImportRejected",
    "InvalidArgument",
    "LogBusy",
    "LogCorruption",
    "NotAStore",
    "NotFound",
    "ScopeError",
    "StalePlan",
    "StorageFailed",
    "StorageFull",
    "StoreClosed",
    "UnsupportedFileSystem",
    "UnsupportedPlatform",
    "VersionConflict",
    "ViewFailed",
    "ViewLag",
    "WalnutError",
]


class WalnutError(Exception):
    """Root of everything Walnut raises on purpose.

    `code` is stable and machine readable, `where` the place (an argument, a file, an LSN), `hint` what to do.

    >>> raise InvalidArgument("text is empty", where="text", hint="pass at least one character")
    Traceback (most recent call last):
    walnut.errors.InvalidArgument: text is empty [invalid_argument at text] pass at least one character
    """

    code = "walnut_error"

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.where = where
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        place = f"{self.code} at {self.where}" if self.where else self.code
        return f"{self.message} [{place}]" + (f" {self.hint}" if self.hint else "")


class InvalidArgument(WalnutError, ValueError):
    """An argument is wrong: its type, its range, its form."""

    code = "invalid_argument"


class NotFound(WalnutError, LookupError):
    """Nothing of that id or key exists for this handle; what lies outside its scope answers the same."""

    code = "not_found"

    #: Where a caller brings none of its own.
    usual_hint = "take ids from recall or list; history has what is gone"

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=where, hint=hint or self.usual_hint)


class ScopeError(InvalidArgument):
    """A scope path is malformed, or not equal to or below the bound one."""

    code = "scope_error"


class AccessDenied(WalnutError):
    """The actor lacks a right, or the file system refuses the process."""

    code = "access_denied"


class VersionConflict(WalnutError):
    """Something touched the memory after the expected version; `current` is the version now, where readable."""

    code = "version_conflict"

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, current: int | None = None
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.current = current


class IdempotencyConflict(WalnutError):
    """The idempotency key was used before with another request; `lsn` is the first one's."""

    code = "idempotency_conflict"

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, lsn: int | None = None
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.lsn = lsn


class StalePlan(WalnutError):
    """Something relevant changed since the plan was made; plan again and look at it."""

    code = "stale_plan"


class LogCorruption(WalnutError):
    """The log holds damage. Nothing was dropped: `file`, `offset` and the LSNs from `first_lsn` on say where."""

    code = "log_corruption"

    def __init__(
        self,
        message: str,
        *,
        file: str,
        offset: int,
        first_lsn: int | None = None,
        last_lsn: int | None = None,
        hint: str | None = None,
    ) -> None:
        lsns = "" if first_lsn is None else f", LSN {first_lsn}" + (f" to {last_lsn}" if last_lsn else "")
        super().__init__(
            message,
            where=f"{file}, offset {offset}{lsns}",
            hint=hint or "run `walnut verify`, restore a backup, or `walnut repair --accept-loss`",
        )
        self.file = file
        self.offset = offset
        self.first_lsn = first_lsn
        self.last_lsn = last_lsn


class LogBusy(WalnutError):
    """A lock was not free within the limit: its holder is stopped or stuck. Nothing was written."""

    code = "log_busy"


class DurabilityUnknown(WalnutError):
    """Whether the write is on disk can't be known: a sync failed, and the log takes no more writes until reopened.

    Or it was written, and the lock to say that it is durable was not free within the limit.
    """

    code = "durability_unknown"


class StorageFull(WalnutError):
    """No space, or a quota is reached. Earlier acknowledged writes stand; work goes on once there is space."""

    code = "storage_full"


class StorageFailed(WalnutError):
    """The operating system reported an I/O error on a write or read; nothing was acknowledged."""

    code = "storage_failed"


class StoreClosed(WalnutError):
    """The handle was closed, or belongs to the parent of this forked process."""

    code = "store_closed"


class NotAStore(WalnutError):
    """The folder exists and is not a Walnut store (or the store is missing where one is required)."""

    code = "not_a_store"


class FormatTooNew(WalnutError):
    """The store, an event or a file was written by a newer Walnut; upgrade to read it."""

    code = "format_too_new"


class UnsupportedFileSystem(WalnutError):
    """The folder is on a network file system, where locks and syncs can't be relied on."""

    code = "unsupported_file_system"


class UnsupportedPlatform(WalnutError):
    """Walnut runs on Linux and macOS."""

    code = "unsupported_platform"


class ViewLag(WalnutError):
    """The views did not reach the wanted LSN in time; `applied` is where they stand."""

    code = "view_lag"

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, applied: int | None = None
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.applied = applied


class ViewFailed(WalnutError):
    """A view stopped at an event it can't apply; the log and the other views work on."""

    code = "view_failed"


class EmbedderFailed(WalnutError):
    """The model that embeds texts did not answer, or not with one finite vector of its dimension for each text.

    `passing`: it may be over by itself (not reached, too busy, refused), and the texts are not to blame.
    """

    code = "embedder_failed"

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, passing: bool = False
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.passing = passing


class ImportRejected(WalnutError):
    """A file to import is not understood; `where` names the line."""

    code = "import_rejected"
