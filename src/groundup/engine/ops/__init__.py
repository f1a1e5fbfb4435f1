"""Operations as users call them: PyTorch's names and arguments, built of primitives."""
