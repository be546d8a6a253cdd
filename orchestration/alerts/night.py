"""One night: bring the feeds in, observe, judge, record, deliver; and the same judgement before a close is published."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestration.alerts.model import Finding
from orchestration.settings import Settings

Report = Callable[[str], None]
Rows = Callable[[str], list[tuple[Any, ...]]]
