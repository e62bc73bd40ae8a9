"""Serve: processes around a Memory; MCP over stdio so far."""
