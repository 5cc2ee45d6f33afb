"""Walks a plan and writes what comes of it to the store."""
