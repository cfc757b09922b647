"""The database fixtures, for tests/db and for the test files that BA Copilot's document names (BAC-50); the gate's plug-ins.

Here and not in tests/: a tests/conftest.py is where pytest-alembic would collect tests of its own.
"""

pytest_plugins = ["tests.db.fixtures", "tests.gate.families", "tests.gate.minutes", "pytester"]
