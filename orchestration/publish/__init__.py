"""Publishing: the marts of the dbt exposure, in PostgreSQL and as files."""


class PublishError(Exception):
    """The marts cannot be published; the message says why and what to do. What was published before is as it was."""
