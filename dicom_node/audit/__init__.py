"""The audit trail: events, their chain, who asks and who forwards."""
