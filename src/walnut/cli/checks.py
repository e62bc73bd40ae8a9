"""A check of the doctor: its name, how it went, and a sentence about it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Status: TypeAlias = Literal["ok", "warn", "fail"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: `status` is "ok", "warn" or "fail"."""

    name: str
    status: Status
    detail: str


def ok(name: str, detail: str) -> Check:
    """As it should be."""
    return Check(name=name, status="ok", detail=detail)


def warn(name: str, detail: str) -> Check:
    """Works, with less than could be promised."""
    return Check(name=name, status="warn", detail=detail)


def fail(name: str, detail: str) -> Check:
    """To be mended."""
    return Check(name=name, status="fail", detail=detail)
