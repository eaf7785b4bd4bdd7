"""What a run will need, before money is spent on it: batches, memory, disk, hours, dollars."""
