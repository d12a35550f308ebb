"""Findings become something to look at: a JSON file, a 12-lead page, a text, a table.

Only `page` and what it is made of load matplotlib, so asking for JSON alone never does.
"""

from fascicle.report.schema import findings_schema
from fascicle.report.text import summarize
from fascicle.report.write import FORMATS, summary_row, write_findings, write_summary

__all__ = [
    "FORMATS",
    "findings_schema",
    "summarize",
    "summary_row",
    "write_findings",
    "write_summary",
]
