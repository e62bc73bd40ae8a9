"""The folds: each turns events into rows of its own tables, the same rows on every replay."""
