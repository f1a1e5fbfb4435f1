"""Recipes, training that can be stopped, models that are kept, and what they predict."""
