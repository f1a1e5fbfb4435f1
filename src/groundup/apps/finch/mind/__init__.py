"""One task's whole cascade."""
