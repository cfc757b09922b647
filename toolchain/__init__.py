"""Sets a fresh machine up for Keel. Standard library only: it runs before the virtual environment exists."""
