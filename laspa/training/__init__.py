"""Training one system: the loop, batches, augmentation of mels, several processes.

May import: laspa.evaluation and what that may import.
"""
