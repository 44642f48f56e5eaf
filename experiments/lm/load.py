"""Load a causal language model: a hub id, a local folder, a GGUF file, or an unembedding matrix on its own.

The only file that knows the transformers library.  Models are evaluated in float32, on a CUDA device if there is one.
Local files are read without any network; code that comes with a model is never run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from experiments.lm.files import quantisation, read_head
from experiments.lm.model import LanguageModel

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
"""A folder without any of these has no tokenizer."""


def load(source: str | Path) -> LanguageModel:
    """The language model that ``source`` names, in float32.

    - ``smollm2``: the GGUF file that ``rankfloor lm fetch smollm2`` fetched (or ``$RANKFLOOR_SMOLLM2``);
    - a file ``*.gguf``: weights dequantised, tokenizer from the file;
    - a file ``*.safetensors``: the unembedding matrix alone, see :func:`experiments.lm.files.read_head`;
    - a folder as written by ``save_pretrained``;
    - anything else: an id on the hub.

    Assumes a linear head: ``logits = s (h Wᵀ + b)`` is checked on a few tokens; a scale s other than one is folded
    into W and b, and ``caveats`` say so.  Cost: one reading of the weights.

    Raises ``ValueError`` for a missing or unreadable file, an architecture that transformers does not know, a head
    that is not linear (softcapping), a hub that cannot be reached, and a missing package.
    """
    path = _resolve(str(source))
    if path is not None and path.suffix == ".safetensors":
        W, b, caveats = read_head(path)
        return LanguageModel(path.stem, W, b, caveats)
    if path is None:
        model, tokenizer = _pretrained(str(source), {})
        name, caveats = str(source), ()
    elif path.is_dir():
        model, tokenizer = _pretrained(str(path), {"local_files_only": True})
        name, caveats = path.resolve().name, ()
    else:
        model, tokenizer = _pretrained(str(path.parent), {"local_files_only": True, "gguf_file": path.name})
        name, caveats = path.stem, quantisation(path)
    return _assemble(name, model, tokenizer, (*caveats, *_tuning(name)))


def _resolve(source: str) -> Path | None:
    """The local file or folder that ``source`` names, or ``None`` for a hub id."""
    from experiments.lm.fetch import smollm2

    if source == "smollm2":
        return smollm2()
    path = Path(source).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix in (".gguf", ".safetensors")):
        return path
    if path.is_file():
        raise ValueError(f"{path} is neither .gguf nor .safetensors; give such a file, or the folder of the model")
    if path.suffix in (".gguf", ".safetensors") or path.is_absolute() or source[:1] in ".~" or source.count("/") > 1:
        raise ValueError(f"{path} does not exist; give a model folder, a .gguf or .safetensors file, or a hub id")
    return None


def _pretrained(place: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """Model and tokenizer (or ``None``) as transformers gives them; its errors as one ``ValueError``."""
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        with _quiet():
            model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, trust_remote_code=False, **options)
            tokenizer = None
            if not Path(place).is_dir() or "gguf_file" in options or _has_tokenizer(Path(place)):
                tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False, **options)
    except ImportError as error:
        raise ValueError(f"loading {place} needs the packages of rankfloor[lm]; pip install them ({error})") from error
    except OSError as error:
        remedy = "look at its files" if options else "pass a local folder or a .gguf file where there is no network"
        raise ValueError(f"{place} cannot be loaded ({_first_line(error)}); {remedy}") from error
    except (ValueError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"{place} cannot be loaded as a causal language model ({_first_line(error)}); give a model that "
            "transformers knows, or its unembedding alone as .safetensors"
        ) from error
    return model, tokenizer


def _assemble(name: str, model: Any, tokenizer: Any, caveats: tuple[str, ...]) -> LanguageModel:
    """Check the head, fold its scale, and put the parts together."""
    from experiments.lm.body import TransformerBody

    body = TransformerBody(name, model)
    if body.scale != 1.0:
        caveats = (*caveats, f"logits are {body.scale:.6g} times h Wᵀ: the factor is folded into W")
    W, b = body.head_arrays()
    return LanguageModel(
        name=name, W=W, b=b, caveats=caveats, layers=len(body.stack), head_residual=body.residual,
        body=body, tokenizer=None if tokenizer is None else _Tokenizer(tokenizer),
    )  # fmt: skip


class _Tokenizer:
    """A tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.size = tokenizer, len(tokenizer)
        opening = tokenizer("", verbose=False)["input_ids"][:1]
        known = tokenizer.bos_token_id
        self.bos: int | None = known if known is not None and opening == [known] else None

    def __call__(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).exists() for name in TOKENIZER_FILES)


def _tuning(name: str) -> tuple[str, ...]:
    """A caveat for models whose name says that they follow instructions."""
    words = name.lower().replace("_", "-").replace(".", "-").split("-")
    return ("instruction-tuned",) if {"instruct", "chat", "it"} & set(words) else ()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no remarks of transformers within the block; its settings are put back."""
    from transformers import modeling_gguf_pytorch_utils
    from transformers.utils import logging as remarks

    gguf: Any = modeling_gguf_pytorch_utils
    logging: Any = remarks

    level, bars, bar = logging.get_verbosity(), logging.is_progress_bar_enabled(), gguf.tqdm
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    gguf.tqdm = partial(bar, disable=True)  # this one does not heed the setting
    try:
        yield
    finally:
        gguf.tqdm = bar
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
