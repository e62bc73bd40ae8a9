"""Verbs that check and mend: verify, repair."""

from __future__ import annotations

import argparse

import walnut
from walnut.cli import options
from walnut.cli.exits import DAMAGE, OK
from walnut.cli.progress import Progress
from walnut.cli.screen import Screen
from walnut.cli.verb import Verb
from walnut.model.results import Finding, RepairReport, ViewCheck
from walnut.model.words import counted


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--views", action="store_true", help="replay the log into fresh views and compare them with the live ones too"
    )


def _verify(args: argparse.Namespace, screen: Screen) -> int:
    with Progress("verify") as progress:
        report = walnut.verify(options.existing(args), progress=progress)
    checks: tuple[ViewCheck, ...] = ()
    if args.views and report.ok:
        with options.open_store(args) as memory:
            checks = memory.upkeep.verify_views()
    good = report.ok and all(check.ok for check in checks)
    if screen.json:
        screen.document({"log": report, "views": checks} if args.views else report)
        return OK if good else DAMAGE
    screen.line(screen.paint(report.verdict, "green" if report.ok else "red"))
    _show(screen, report.findings)
    for check in checks:
        told = "equals a replay" if check.ok else f"DIFFERS from a replay: {', '.join(check.differences)}"
        behind = report.last_lsn - check.lsn
        told += f" ({counted(behind, 'event')} behind: the next read applies them)" if behind > 0 else ""
        screen.line(screen.paint(f"view {check.name} at LSN {check.lsn}: {told}", "green" if check.ok else "red"))
    if not report.ok:
        screen.line("restore a backup, or salvage what is left: walnut repair --accept-loss")
    elif not good:
        screen.line("the log is the truth: walnut rebuild makes the views anew")
    return OK if good else DAMAGE


def _show(screen: Screen, findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        lsns = "" if finding.first_lsn is None else f", LSN {finding.first_lsn}"
        lsns += f" to {finding.last_lsn}" if finding.last_lsn and finding.last_lsn != finding.first_lsn else ""
        screen.line(f"  {finding.file}, offset {finding.offset}{lsns}: {finding.message}")


def _repair_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accept-loss", action="store_true", help="do it: keep what is intact, give up what is listed as lost"
    )


def _repair(args: argparse.Namespace, screen: Screen) -> int:
    with Progress("repair") as progress:
        report = walnut.repair(options.existing(args), accept_loss=args.accept_loss, progress=progress)
    if screen.json:
        screen.document(report)
    else:
        _tell(screen, report)
    return OK if report.repaired or not report.findings else DAMAGE


def _tell(screen: Screen, report: RepairReport) -> None:
    _show(screen, report.findings)
    lost = ", ".join(f"{low}" if low == high else f"{low} to {high}" for low, high in report.lost_ranges)
    if not report.findings and not report.repaired:
        screen.line(f"nothing to repair: {report.kept_events} events are intact")
        return
    would = "" if report.repaired else "would be "
    screen.line(f"{report.kept_events} events {would}kept; lost: {f'LSN {lost}' if lost else 'none'}")
    for name in report.set_aside:
        screen.line(f"set aside: {name}")
    if not report.repaired:
        screen.line("nothing was changed; to do it: walnut repair --accept-loss")


VERBS = {
    "verify": Verb(
        "verify",
        """Read every bit of the log and check it: checksums, order, the chain of hashes, the commitments to contents.
        Changes nothing. Ends with 3 when there is damage, naming file, offset and LSNs.""",
        ("walnut verify", "walnut verify --views", "walnut verify --json"),
        _verify_arguments,
        _verify,
    ),
    "repair": Verb(
        "repair",
        """Salvage a damaged log: everything that is intact is kept with its LSNs, damaged files are set aside, nothing
        is deleted. Without --accept-loss it only tells what would be lost. Nobody else may have the store open.""",
        ("walnut repair", "walnut repair --accept-loss"),
        _repair_arguments,
        _repair,
    ),
}
