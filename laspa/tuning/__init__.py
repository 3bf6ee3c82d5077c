"""Search for hyperparameters: what to try, trying it on Ray, and what came out."""
