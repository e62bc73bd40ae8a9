"""Interchange: taking in what people already have, and giving everything back as JSONL."""

from __future__ import annotations

from walnut.interchange.exporting import export_file
from walnut.interchange.importing import import_file
from walnut.interchange.report import ExportReport, ImportReport, Left

__all__ = ["ExportReport", "ImportReport", "Left", "export_file", "import_file"]
