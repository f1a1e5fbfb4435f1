"""The closed set of primitive operations, by theme; each with its derivative beside it."""
