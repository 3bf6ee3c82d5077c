"""params.yaml as typed models: its sections, loading, overriding, and errors that say what would be right.

May import: laspa.errors, laspa.files.
"""
