"""A tiny model that goes through the whole method on a CPU in minutes."""
