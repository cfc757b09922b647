"""Figures of real environments: seconds, rows and bytes per second. Run by `make bench`, `bench-databases`, `bench-backups`."""
