"""Writes a llama of random weights as GGUF; for the interpreter that has llama.cpp and ``gguf``.

Its tokens are words, so that what it says, senseless as it is, is made of words.
"""

from __future__ import annotations

import sys

import gguf
import numpy as np

WORDS = """
lake train mountain paper window garden river bread winter summer letter kitchen bridge candle forest
island market pocket singer valley yellow silver copper marble button ladder saddle tunnel harbour lantern
orchard pasture village wagon willow anchor basket carpet donkey engine feather glacier hammer kettle
meadow needle oyster pillow quarry rabbit saffron teapot umbrella velvet walnut zipper
""".split()
WIDTH, LAYERS, HEADS, FEED, CONTEXT = 64, 2, 4, 128, 512


def write(path: str, seed: int) -> None:
    """The same file for the same seed."""
    random = np.random.default_rng(seed)
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("tiny")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(FEED)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(WIDTH // HEADS)
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{octet:02X}>" for octet in range(256)]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    types += [gguf.TokenType.BYTE] * 256
    # A text is put together letter by letter, so each beginning of a word must be there too.
    wholes = ["\u2581" + word for word in WORDS]
    parts = {letter for word in wholes for letter in word}
    parts |= {word[:size] for word in wholes for size in range(2, len(word))}
    words = len(tokens) + len(parts)
    tokens += [*sorted(parts), *wholes]
    types += [gguf.TokenType.NORMAL] * (len(tokens) - 259)
    out.add_tokenizer_model("llama")
    out.add_token_list(tokens)
    out.add_token_scores([0.0] * 259 + [float(len(token)) for token in tokens[259:]])
    out.add_token_types(types)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)

    def matrix(name: str, rows: int, columns: int, scale: float = 0.3) -> np.ndarray:
        found = random.normal(0, scale, (rows, columns)).astype(np.float32)
        out.add_tensor(name, found)
        return found

    matrix("token_embd.weight", len(tokens), WIDTH, 1.0)
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
        matrix(f"blk.{layer}.ffn_gate.weight", FEED, WIDTH)
        matrix(f"blk.{layer}.ffn_up.weight", FEED, WIDTH)
        matrix(f"blk.{layer}.ffn_down.weight", WIDTH, FEED)
        for name in ("attn_norm", "ffn_norm"):
            out.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32))
    out.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    head = random.normal(0, 1.0, (len(tokens), WIDTH)).astype(np.float32)
    head[:words] = 0  # only words are likely
    out.add_tensor("output.weight", head)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]))
