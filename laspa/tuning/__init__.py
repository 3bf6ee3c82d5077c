"""Search for hyperparameters: what to try, and what came out. Ray itself: pipelines/sweep.py."""
