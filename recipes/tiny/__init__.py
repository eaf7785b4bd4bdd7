"""A tiny model that goes through the whole recipe on a CPU in minutes."""
