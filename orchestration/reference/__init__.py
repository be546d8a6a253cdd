"""Reference data that the validity rules read, written into seeds from maintained libraries."""
