"""A trained model made into one that is handed on: its calibration, its error rates, its model card.

May import: laspa.recogniser, laspa.corpora, laspa.evaluation and what is below.
"""
