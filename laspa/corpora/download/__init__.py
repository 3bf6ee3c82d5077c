"""Fetching corpora: plan, transfer in parts, checksums, safe extraction of archives."""
