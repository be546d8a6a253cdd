"""Types of command-line parameters."""

from __future__ import annotations

from datetime import date

import click

from orchestration.settings import parse_month


class Month(click.ParamType[date]):
    """A month written `YYYY-MM`, as the date of its first day."""

    name = "YYYY-MM"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the month, or stop with a sentence."""
        try:
            return value if isinstance(value, date) else parse_month(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
