"""The search for hyperparameters, without Ray: what is drawn, what is kept of a trial, what comes out.

May import: laspa.report, laspa.training and what those may import.
"""
