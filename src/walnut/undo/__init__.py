"""Undo: decide what a bad memory led to, and append the event that takes it back; nothing is rewritten."""
