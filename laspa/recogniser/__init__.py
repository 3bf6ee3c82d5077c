"""The front door: recordings as embeddings, compared with a probability, enrolled and identified.

May import: laspa.backend, laspa.evaluation, laspa.models, laspa.features, laspa.audio. Nothing here imports
torch by itself.
"""
