"""The table of callers that a person let in."""

APPROVED_CALLERS = (
    """CREATE TABLE approved_callers (
        ae TEXT NOT NULL, host TEXT NOT NULL,
        approved_at DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (ae, host))""",
)
"""The first version of it."""
