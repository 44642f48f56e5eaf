"""Tiny random models in folders, as a user would have them on disk."""

from __future__ import annotations

import torch

VOCAB = 60


def neox(folder, vocab=VOCAB, seed=0):
    """A random GPT-NeoX of three layers, saved to ``folder``; the model."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(seed)
    config = GPTNeoXConfig(
        vocab_size=vocab, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=64, initializer_range=0.5, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    return saved(GPTNeoXForCausalLM(config), folder)


def saved(model, folder):
    """The model in evaluation mode, after it was written to ``folder``."""
    model = model.eval()
    model.save_pretrained(folder)
    return model


def tokenizer(folder, words=10, bos=True):
    """A word-level tokenizer of ``w0 w1 ...`` and a BOS token numbered ``words``, put in front of texts if ``bos``."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    numbers = {f"w{word}": word for word in range(words)} | {"<s>": words}
    made = Tokenizer(models.WordLevel(numbers, unk_token="w0"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if bos:
        made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", words)])
    PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>").save_pretrained(folder)
