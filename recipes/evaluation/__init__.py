"""Score models on puzzles by accuracy, tokens and cost; reports and plots of runs."""
