"""What takes the language out of finished embeddings, learnt on a user's own speakers, and whether it pays.

May import: laspa.evaluation, laspa.trials, laspa.files. Nothing here needs torch.
"""
