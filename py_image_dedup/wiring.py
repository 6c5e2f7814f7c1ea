"""The one module that knows all rooms: settings become a ready ``Deduplicator``."""
