"""A real language model, SmolLM2-135M-Instruct, through the whole method."""
