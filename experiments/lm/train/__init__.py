"""A width ladder trained here: small GPT-NeoX language models on one text, measured along their training."""
