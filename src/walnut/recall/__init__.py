"""Recall: from a query to the memories that answer it, in order, within a budget, and with their reasons."""
