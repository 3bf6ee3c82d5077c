"""The index of raw recordings, the languages of those that have none, and the table of utterances.

May import: laspa.models, laspa.features, laspa.audio, laspa.params.
"""
