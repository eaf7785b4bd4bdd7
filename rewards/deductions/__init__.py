"""Deductions that a completion states: read from its text, then proved or refuted by the solver."""
