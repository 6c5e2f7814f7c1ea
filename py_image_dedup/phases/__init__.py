"""The phases of a run, one module each: every one takes a frozen value and returns the next."""
