"""Experiments: each a file that states claims, measures them, and says which hold."""
