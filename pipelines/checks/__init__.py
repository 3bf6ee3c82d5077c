"""Great Expectations: what must hold of the manifest and the features, and the page that shows it."""
