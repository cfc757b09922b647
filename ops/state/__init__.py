"""Pulumi's state: what blocks it, what was lost of it."""
