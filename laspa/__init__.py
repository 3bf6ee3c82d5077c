"""laspa: speaker embeddings from which language is gone, as a reproducible pipeline."""

__version__ = "0.2.0"
