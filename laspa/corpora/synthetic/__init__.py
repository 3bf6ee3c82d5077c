"""The embedded corpus: bilingual speakers synthesised with espeak-ng, the same bytes for a seed."""
