"""Scope paths under the root `global`: checked, compared segment by segment, never folded or prefix-matched as text."""

from __future__ import annotations

from walnut.errors import ScopeError

ROOT = "global"
DEFAULT = "user:default"
MAX_SEGMENT = 128
MAX_DEPTH = 32


def check(path: str) -> str:
    """The path itself if it is a legal scope, else ScopeError."""
    if not isinstance(path, str):
        raise ScopeError(f"a scope is a string, not {type(path).__name__}", where="scope")
    segments = path.split("/")
    if len(segments) > MAX_DEPTH:
        raise ScopeError(f"a scope has at most {MAX_DEPTH} segments", where="scope")
    for number, segment in enumerate(segments, 1):
        if not 1 <= len(segment) <= MAX_SEGMENT:
            raise ScopeError(
                f"segment {number} has {len(segment)} characters",
                where="scope",
                hint=f"segments have 1 to {MAX_SEGMENT} characters; user:alice/session:42",
            )
        if not segment.isprintable():
            raise ScopeError(f"segment {number} holds an unprintable character", where="scope")
    if path != ROOT and segments[0] == ROOT:
        raise ScopeError("the root is not written out", where="scope", hint="user:alice, not global/user:alice")
    return path


def ancestors(path: str) -> tuple[str, ...]:
    """The scope and all above it, nearest first, the root last.

    >>> ancestors("org:acme/customer:initech")
    ('org:acme/customer:initech', 'org:acme', 'global')
    """
    if path == ROOT:
        return (ROOT,)
    segments = path.split("/")
    return (*("/".join(segments[:n]) for n in range(len(segments), 0, -1)), ROOT)


def within(path: str, bound: str) -> bool:
    """Whether `path` equals `bound` or lies below it, by whole segments.

    >>> within("user:alice/session:1", "user:alice"), within("user:alice2", "user:alice")
    (True, False)
    """
    return bound in (ROOT, path) or path.startswith(bound + "/")
