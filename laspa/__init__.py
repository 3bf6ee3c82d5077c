"""laspa: speaker embeddings from which language is gone, as a reproducible pipeline."""

__version__ = "0.1.0"
