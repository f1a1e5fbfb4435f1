"""Gene-regulatory networks: which transcription factor (TF) regulates which gene.

From expression and edges that are known, or from expression alone; and an evaluation that tells
what a score is worth beside counting edges.
"""
