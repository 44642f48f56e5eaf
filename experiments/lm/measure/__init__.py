"""What a language model's head and states look like, every number beside its null: ``rankfloor lm measure``."""
