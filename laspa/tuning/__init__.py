"""The search for hyperparameters, without Ray: what is drawn, what is kept of a trial, what comes out."""
