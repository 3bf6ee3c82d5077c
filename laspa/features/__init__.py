"""Log-mels: their settings, their computation, the Parquet store, and extraction by several processes.

May import: laspa.audio, laspa.params.
"""
