"""Models for use: joined with other evidence, kept in files, asked about all pairs."""
