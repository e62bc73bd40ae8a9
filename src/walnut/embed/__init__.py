"""Embeddings: texts become vectors, by the table that comes with the package or by one the caller brings."""
