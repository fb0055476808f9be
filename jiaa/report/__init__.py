"""Tables and figures of finished runs, beside the published numbers."""

from jiaa.report.runs import Run, read_run
from jiaa.report.write import terminal_summary, write_report

__all__ = ["Run", "read_run", "terminal_summary", "write_report"]
