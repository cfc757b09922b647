"""The database fixtures, for tests/db and for the test files that BA Copilot's document names (BAC-50); the gate's plug-ins.

Here and not in tests/: a tests/conftest.py is where pytest-alembic would collect tests of its own.
"""

import signal

pytest_plugins = ["tests.db.fixtures", "tests.db.planted", "tests.gate.families", "tests.gate.minutes", "pytester"]

# A shell that starts the tests in its background has them ignore Ctrl-C, and every program they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
