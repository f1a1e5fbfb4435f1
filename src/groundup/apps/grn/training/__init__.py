"""Recipes, training that can be stopped, and what a trained model says of pairs."""
