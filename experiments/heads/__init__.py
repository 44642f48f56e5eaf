"""Softmax heads fitted to their loss floor."""
