"""The databases of the products."""
