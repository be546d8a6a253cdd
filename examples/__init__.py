"""Real data mapped to the raw contract: one folder per example, with `mapping.sql` and `example.yml`."""
