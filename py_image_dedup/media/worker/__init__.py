"""What runs in the decoder process."""
