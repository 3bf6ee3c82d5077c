"""Serving a registered model: the class that MLflow loads, and its server with limits."""
