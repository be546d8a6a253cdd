"""The chart library that the page carries; `python -m orchestration.report.library` writes it anew."""
