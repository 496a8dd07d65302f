"""A corpus is read, decided, scrubbed and written again; every decision is in the ledger."""
