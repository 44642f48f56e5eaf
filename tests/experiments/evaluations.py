"""A small tree of evaluation files with every trap of the published layout, for tests of the reader and the command."""

from __future__ import annotations

import json
import math

NEOX = {"num_layers": 12, "hidden_size": 768, "train_iters": 71500}
STEPS = [0, 1, 512, *range(3000, 144000, 10000)]


def evaluation(model_args, ppl, shots=0, **tasks):
    """One file's content; the accuracy falls as the perplexity grows."""
    accuracy = round(1 / (1 + ppl / 50), 6)
    results = {"lambada_openai": {"ppl": ppl, "ppl_stderr": 0.04 * ppl, "acc": accuracy, "acc_stderr": 0.006}}
    return {"results": results | tasks, "versions": {}, "config": {"model_args": model_args, "num_fewshot": shots}}


def hugging_face(name, step):
    return f"use_accelerate=True,pretrained=EleutherAI/pythia-v1.1-{name},revision=step{step}"


def write(root, path, content):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def curve(step, low, late):
    """A perplexity that falls from 1000 to ``low`` and rises by ``late`` nats over the last third of training."""
    wiggle = 0.03 * math.sin(7.3 * step / 1000)
    return low * math.exp(5 / (1 + step / 1500) + late * max(0.0, step / 143000 - 0.6) / 0.4 + wiggle)


def write_run(root, folder, name, shots=0, late=0.0):
    """A whole v1 run in one folder; steps 0 and 1 are the same weights."""
    for step in STEPS:
        seen = max(step, 1)
        write(
            root, f"{folder}/{name}_step{step}.json", evaluation(hugging_face(name, step), curve(seen, 40, late), shots)
        )
