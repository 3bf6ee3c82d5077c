"""Encoders, pooling, prefix-tuners, decoder, and LASPA put together from them."""
