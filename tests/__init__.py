"""Makes `python -m tests.regression.compare` importable."""
