"""MLflow: where runs are kept, what each carries, and delivery to a store that may be away."""
