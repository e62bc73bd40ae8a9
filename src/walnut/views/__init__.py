"""The views: what is read is folded from the log, kept in SQLite, and can be thrown away at any time."""
