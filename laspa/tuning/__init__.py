"""The search for hyperparameters, without Ray: draws, the files of each trial, the results.

May import: laspa.report, laspa.training and what those may import.
"""
