"""Reference data that the validity rules read, written into the dbt project from maintained libraries."""
