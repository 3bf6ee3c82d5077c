"""Encoders, pooling, prefix-tuners, decoder, losses, LASPA put together from them, and saved models.

May import: laspa.features, laspa.params.
"""
