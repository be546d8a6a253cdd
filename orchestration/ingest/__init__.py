"""Raw files to the schema `raw` of the warehouse: checked, typed, one row per key, nothing dropped silently."""

from orchestration.ingest.result import IngestError, IngestResult, TableResult
from orchestration.ingest.run import ingest, last_ingest

__all__ = ["IngestError", "IngestResult", "TableResult", "ingest", "last_ingest"]
