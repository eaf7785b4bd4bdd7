"""The tiny model: a Qwen2 architecture small enough to learn on a laptop's CPU, and a tokenizer to match.

The tokenizer is a true `Qwen2Tokenizer` over bytes, so that any text survives it and `AutoTokenizer` loads it as what it
is; the names and phrases of the puzzle sentences are added tokens, so that "Miss Scarlet was in the Hall" is 2 tokens.
"""

from __future__ import annotations

import torch
from tokenizers import AddedToken, pre_tokenizers
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from puzzles import scenario, sentences

TINY_SIZE = scenario.Size(suspects=3, weapons=2, rooms=3, times=1, motives=0)  # of the puzzles that it knows
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_tokenizer() -> Qwen2Tokenizer:
    """A byte-level Qwen2 tokenizer with every name and phrase of the compact wording as one token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Qwen2Tokenizer(
        vocab={byte: i for i, byte in enumerate(alphabet)},
        merges=[],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHATML,
    )
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in _phrases()])
    return tokenizer


def _phrases() -> list[str]:
    templates = [template for _, _, template in sentences.SENTENCES + sentences.QUESTIONS]
    between = [text for template in templates for text in sentences.FIELD.split(template)[::3]]
    between += [text + "the " for text in between if text.endswith(" ")]
    rows = [
        "\n- ",
        "\nClues:",
        "\nQuestions:",
        "\nBonus:",
        "Suspects: ",
        "\nWeapons: ",
        "\nRooms: ",
        "\nTimes: ",
        "\nMotives: ",
    ]
    rows += [f"{chr(65 + i)}. " for i in range(8)] + [f"\n{chr(65 + i)}. " for i in range(8)]
    words = [
        " or ",
        " if and only if ",
        ", ",
        " | ",
        " / ",
        " at ",
        " was in the ",
        " was at the ",
        " were in the ",
        " were at the ",
    ]
    words += ["in the ", "at the ", "the ", "The ", "the suspect motivated by ", "The suspect motivated by "]
    words += ["a suspect motivated by ", "A suspect motivated by ", "the murderer", "The murderer", "the murder weapon"]
    words += ["The murder weapon", "<|im_start|>user\n", "\n<|im_start|>assistant\n", "<|im_start|>assistant\n"]
    hours = [f"{h:02d}:{m:02d} {half}" for half in ("PM", "AM") for h in (*range(8, 13), *range(1, 5)) for m in (0, 15, 30, 45)]
    # "… was in the Hall" as one token puts a place right behind its piece, where a small model finds it again
    words += [f" was {'at' if room == 'Fountain' else 'in'} the {room}" for room in scenario.ROOMS]
    names = (*scenario.SUSPECTS, scenario.BODDY, *scenario.WEAPONS, *scenario.ROOMS, *scenario.MOTIVES, *scenario.DIRECTIONS)
    return list(dict.fromkeys(p for p in (*names, *hours, *rows, *words, *between) if p.strip()))


def tiny_model(tokenizer: Qwen2Tokenizer, seed: int, layers: int = 3, width: int = 128) -> Qwen2ForCausalLM:
    """A randomly initialised Qwen2 with heads of 32 (the smallest that vLLM takes) and tied embeddings."""
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 32,
            num_key_value_heads=width // 32,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )
