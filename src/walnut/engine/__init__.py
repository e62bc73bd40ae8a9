"""The engine: one request in, one ticket out; writing to the bound scope, reading up, governing down."""
