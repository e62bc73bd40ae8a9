"""What may be written at all: sizes and strict types."""
