"""These tests have an environment of their own: `make test-bigquery`."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("zetasql") else ["test_*.py"]
