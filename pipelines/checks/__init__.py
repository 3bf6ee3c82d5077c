"""Great Expectations: what must hold of the manifest and the features, and the pages that show it."""
