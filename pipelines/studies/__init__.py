"""The studies in studies/, run on demand: train and measure systems, write their tables and pages."""
