"""The report: one self-contained HTML page about one reconstruction, readable without a network."""

from recon.report.data import ReportData
from recon.report.page import render

__all__ = ["ReportData", "render"]
