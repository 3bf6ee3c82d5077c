"""From results on disk to what people look at: the summary of all systems, the figures, the page."""
