"""From embeddings and trials to error rates: scores, normalisation, calibration, intervals, probes.

May import: laspa.trials, laspa.manifest, laspa.models, laspa.features, laspa.params.
"""
