"""Benchmark models on puzzles (accuracy, deductions, tokens, cost), and report on training runs and benchmarks."""
