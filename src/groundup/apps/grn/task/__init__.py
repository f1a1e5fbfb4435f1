"""What is asked, what a method may see of it, and how an answer is scored."""
