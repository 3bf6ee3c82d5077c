"""Ray: one session, and what runs on it: features, training by several workers, sweeps."""
