"""The one judge of sameness: canonical hosts and URLs, recognisers of personal data, checksums.

No network, no database, nothing heavy at import.
"""
