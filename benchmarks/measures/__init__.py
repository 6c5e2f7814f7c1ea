"""What the accuracy benchmark is made of."""
