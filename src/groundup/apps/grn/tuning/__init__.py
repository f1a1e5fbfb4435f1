"""Settings searched on validation, and what each technique adds."""
