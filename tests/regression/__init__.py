"""The whole pipeline on a tiny profile, its metrics held to expectations."""
