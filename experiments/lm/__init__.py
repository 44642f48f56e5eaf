"""Real text and real language models."""
