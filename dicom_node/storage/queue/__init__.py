"""The ledger of instances, jobs, results and deliveries.

Access has one shape: a function that takes an Engine is one transaction and gives domain
values; one that takes a Connection is a step of another's. Only where the story, which
may not know SQL, needs several transactions that belong together, a class binds the
engine to its port: SqlLedger, SqlCommitments, SqlRetention.
"""
