"""Recordings as samples: reading, decoders, what is wrong with a file, noise, rooms and augmentation.

May import: laspa.params.
"""
