"""Corpora: one module each, which lists its recordings; `catalogue.CORPORA` names them all.

May import: laspa.trials, laspa.manifest, laspa.features, laspa.audio, laspa.params.
"""
