"""Spark as the engine instead of DuckDB: a standalone cluster on this machine, from the PySpark package."""
