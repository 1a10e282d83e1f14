"""Files: quantities with units, YAML and JSON with places in errors, whole-file writes, provenance of results."""
