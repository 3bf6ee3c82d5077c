"""MLflow: where runs are kept, what each carries, and what happens while the store is away."""
