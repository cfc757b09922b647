"""The programs, one module each: `main(arguments)` returns the exit status.

On a host each is started by a file of its name in /usr/local/lib/keel: `watch-archive` runs `watch_archive.main`.
"""
