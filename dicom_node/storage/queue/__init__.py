"""The ledger of instances, jobs, results and deliveries."""
