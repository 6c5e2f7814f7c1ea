"""The daemon: file events are debounced into batches, which become runs."""
