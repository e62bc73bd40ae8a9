"""Plan ids: a revert plan as text that any later server of the store can check, and nobody else can make.

A plan id holds what was selected and where the log stood, a digest of what the plan would undo, and a keyed hash
over all of it with scope and actor. Nothing is kept in the server, so a plan outlives a reconnect; applying makes
the plan again from the selection, and refuses when it comes out differently.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import blake2b
from hmac import compare_digest

import msgspec

from walnut.errors import InvalidArgument, StalePlan
from walnut.model.event import Json
from walnut.model.results import RevertPlan

_PREFIX = "plan_"
_HASH = 16


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The arguments of `plan_revert`, as they were given but for events, which are LSNs."""

    events: tuple[int, ...] = ()
    actor: str | None = None
    source: dict[str, Json] | None = None
    session: str | None = None
    since: str | None = None
    until: str | None = None
    kinds: tuple[str, ...] = ()
    include_suspects: bool = False


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan id says."""

    selection: Selection
    lsn: int
    digest: bytes


def seal(secret: bytes, selection: Selection, plan: RevertPlan) -> str:
    """The plan's id, good for its scope and actor only."""
    sealed = Sealed(selection=selection, lsn=plan.lsn, digest=_digest(plan))
    body = msgspec.msgpack.encode(sealed)
    text = base64.urlsafe_b64encode(_stamp(secret, body, plan.scope, plan.actor) + body)
    return _PREFIX + text.decode("ascii").rstrip("=")


def unseal(secret: bytes, plan_id: str, *, scope: str, actor: str) -> Sealed:
    """What was sealed; InvalidArgument unless it was made for this store, scope and actor, and is unchanged."""
    try:
        text = plan_id.removeprefix(_PREFIX).encode("ascii")
        raw = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raw = b""
    stamp, body = raw[:_HASH], raw[_HASH:]
    if not plan_id.startswith(_PREFIX) or not compare_digest(stamp, _stamp(secret, body, scope, actor)):
        raise InvalidArgument(
            "not a plan made for this store, scope and actor",
            where="plan_id",
            hint="call plan_revert, look at its answer, and pass its plan_id unchanged",
        )
    return msgspec.msgpack.decode(body, type=Sealed)


def check(sealed: Sealed, plan: RevertPlan) -> RevertPlan:
    """The plan made again, as of the moment of the first; StalePlan when it would undo something else."""
    if sealed.digest != _digest(plan):
        raise stale()
    return msgspec.structs.replace(plan, lsn=sealed.lsn)


def stale() -> StalePlan:
    """The refusal of a plan that was overtaken, or applied before."""
    return StalePlan(
        "something relevant changed since the plan was made, or it was applied already",
        where="plan_id",
        hint="call plan_revert again and look at its answer: when it has nothing to undo, it was applied",
    )


def _digest(plan: RevertPlan) -> bytes:
    return blake2b(msgspec.msgpack.encode((plan.ranges, plan.memory_ids)), digest_size=_HASH).digest()


def _stamp(secret: bytes, body: bytes, scope: str, actor: str) -> bytes:
    """Keyed, so that an id can't be made up; scope and actor come from the server's launch, not from the id."""
    whole = msgspec.msgpack.encode((scope, actor, body))
    return blake2b(whole, key=secret, person=b"mcp plan", digest_size=_HASH).digest()
