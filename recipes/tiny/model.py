"""The tiny model: a Qwen2 small enough to learn on a laptop's CPU, and a tokenizer to match.

The tokenizer is a real byte-level `Qwen2Tokenizer`, so it encodes any text, and `AutoTokenizer` loads it as usual. The names
and phrases of the puzzle sentences are added tokens, so that "Miss Scarlet was in the Hall" is 2 tokens.
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
    """The added tokens. Their order gives their ids, on which the committed checkpoints depend."""
    names = (*scenario.SUSPECTS, scenario.BODDY, *scenario.WEAPONS, *scenario.ROOMS, *scenario.MOTIVES, *scenario.DIRECTIONS)
    hours = [f"{h:02d}:{m:02d} {half}" for half in ("PM", "AM") for h in (*range(8, 13), *range(1, 5)) for m in (0, 15, 30, 45)]
    headings = ["\n- ", "\nClues:", "\nQuestions:", "\nBonus:"]
    headings += ["Suspects: ", "\nWeapons: ", "\nRooms: ", "\nTimes: ", "\nMotives: "]
    letters = [f"{chr(65 + i)}. " for i in range(8)]
    headings += [*letters, *(f"\n{letter}" for letter in letters)]
    words = [" or ", " if and only if ", ", ", " | ", " / ", " at "]
    words += [" was in the ", " was at the ", " were in the ", " were at the ", "in the ", "at the ", "the ", "The "]
    words += ["the suspect motivated by ", "The suspect motivated by ", "a suspect motivated by ", "A suspect motivated by "]
    words += ["the murderer", "The murderer", "the murder weapon", "The murder weapon"]
    words += ["<|im_start|>user\n", "\n<|im_start|>assistant\n", "<|im_start|>assistant\n"]
    # " was in the Hall" as one token puts the room right behind its piece, where a small model finds it again.
    words += [f" was {'at' if room == 'Fountain' else 'in'} the {room}" for room in scenario.ROOMS]
    templates = [template for _, _, template in sentences.SENTENCES + sentences.QUESTIONS]
    between_fields = [text for template in templates for text in sentences.FIELD.split(template)[::3]]
    between_fields += [text + "the " for text in between_fields if text.endswith(" ")]
    return list(dict.fromkeys(p for p in (*names, *hours, *headings, *words, *between_fields) if p.strip()))


def tiny_model(tokenizer: Qwen2Tokenizer, seed: int) -> Qwen2ForCausalLM:
    """A randomly initialised Qwen2 with heads 32 wide (the smallest that vLLM accepts) and tied embeddings."""
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )
