"""A network that was inferred: edges with importance, and the formats others read."""
