"""Memory: a fit on sparse trigrams at V = 2048 and d = 64 stays under 1.5 GB resident."""

from __future__ import annotations

import subprocess
import sys

LIMIT = 1.5e9

SCRIPT = """
import resource
from experiments.heads import Options, fit
from experiments.lm import corpus
from synth import families
from theory import HeadSpec

words = corpus.tokenize(corpus.moby_dick(), vocab=2048)
trigrams = families.ngram(words.tokens, order=3, vocab=words.vocab, min_count=5)
result = fit(trigrams, HeadSpec(64, bias=True), Options(max_evaluations=3))
print(trigrams.contexts, result.gap, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_sparse_trigrams_stay_small():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    contexts, gap, peak = done.stdout.split()
    assert int(contexts) > 5000
    assert 0 < float(gap) < 8
    assert float(peak) < LIMIT
