"""Turns an instruction into what the transformer reads of it."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import ftfy
import torch
from tokenizers import Tokenizer
from torch import Tensor

from lingbot_eval.files import bounded
from lingbot_eval.models.lingbot_va.checkpoint import understood
from lingbot_eval.models.lingbot_va.padding import MAX_TOKENS


def clean(instruction: str) -> str:
    """Repair mis-decoded characters, undo HTML escapes (twice escaped ones too), collapse white space."""
    text = html.unescape(html.unescape(ftfy.fix_text(instruction))).strip()
    return re.sub(r"\s+", " ", text).strip()


class TextEncoder:
    """Encodes with tokenizer.json and UMT5, and remembers what it has encoded.

    padded: encode 512 positions, as the original does. The empty ones are masked, so that only the shape of the sums
    changes. Token ids come from ``tokenizer.json`` itself: transformers 5 rebuilds the tokenizer and finds other ones.
    """

    def __init__(self, tokenizer: Path, encoder: Any, *, device: torch.device, padded: bool) -> None:
        with understood(tokenizer):
            self._tokenizer = Tokenizer.from_str(bounded(tokenizer).decode())
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(MAX_TOKENS)
            self._tokenizer.encode("\N{SNOWMAN}")  # it says only now that it has no token for unknown ones
            rows, largest = encoder.config.vocab_size, max(self._tokenizer.get_vocab().values(), default=0)
            if largest >= rows:
                raise ValueError(
                    f"the tokenizer has token {largest}, but the text encoder's table has {rows} rows: they do not "
                    "belong together"
                )
        self._encoder, self._device, self._padded = encoder, device, padded
        self._known: dict[str, Tensor] = {}

    def ids(self, instruction: str) -> list[int]:
        """Return the ids of the cleaned instruction, at most 512, the last one ``</s>``."""
        return list(self._tokenizer.encode(clean(instruction)).ids)

    @torch.no_grad()
    def embed(self, instruction: str) -> Tensor:
        """Return (n, text_dim) of the n real tokens, in the encoder's dtype, on the encoder's device."""
        text = clean(instruction)
        if text not in self._known:
            ids = self.ids(text)
            length = MAX_TOKENS if self._padded else len(ids)
            padded = torch.zeros(1, length, dtype=torch.long)
            padded[0, : len(ids)] = torch.tensor(ids)
            mask = (torch.arange(length) < len(ids)).long()[None]
            out = self._encoder(input_ids=padded.to(self._device), attention_mask=mask.to(self._device))
            self._known[text] = out.last_hidden_state[0, : len(ids)].clone()
        return self._known[text]
