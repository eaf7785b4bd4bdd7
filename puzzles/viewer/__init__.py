"""Look at puzzles: the night as a picture, and the gallery of one puzzle of each band with a page to step through it."""
