"""The log: an append-only, checksummed sequence of events in segment files, or in memory."""
