"""What is asked, what a method may see of it, and what an answer is compared with."""
