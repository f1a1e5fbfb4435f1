"""A log replayed, methods compared, a service that is made up."""
