"""The command `laspa`: its options in main.py, what the commands do beside it.

May import: all of laspa.
"""
