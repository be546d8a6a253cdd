"""Bathtub's orchestrator: ingest, monthly close, checks and reports around the dbt project."""

__version__ = "0.1.0"
