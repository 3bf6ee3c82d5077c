"""From results on disk to what people look at: the summary of all systems, the figures, the page.

May import: laspa.evaluation, laspa.corpora, the table of terms in laspa.models.losses, and what those
may import.
"""
