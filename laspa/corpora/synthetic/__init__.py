"""The embedded corpus: bilingual speakers synthesised with espeak-ng; the same seed gives the same bytes."""
