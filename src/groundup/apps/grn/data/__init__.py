"""What a user brings: expression, edges that are known, names; and data sets with a licence."""
