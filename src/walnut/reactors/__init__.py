"""Reactors: what is not deterministic or is done elsewhere follows the log at its own pace, never in a view."""
