"""An attribution to its checkpoint and back."""
def save(a): raise NotImplementedError
def load(c, b): raise NotImplementedError
