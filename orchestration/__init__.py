"""Bathtub's orchestrator: ingest, monthly close, checks and reports around the dbt project."""
