"""The table of utterances: building and reading it, languages, and where recordings are on disk.

May import: laspa.models, laspa.features, laspa.audio, laspa.params.
"""
