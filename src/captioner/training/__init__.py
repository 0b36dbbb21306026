"""Training: batches, losses, the loop and its resume state."""
