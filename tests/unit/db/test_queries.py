"""`queries.yaml` is read strictly."""

from pathlib import Path

import pytest

from db.queries import QueriesError, read

GOOD = """
- name: projects of a user
  requirement: JEEX-08
  sql: select * from projects
  parameters: select id as identity from users
  indexes: [idx_projects_user_status]
"""


def test_a_query_is_read(tmp_path: Path) -> None:
    path = tmp_path / "queries.yaml"
    path.write_text(GOOD)
    (query,) = read(path)
    assert (query.name, query.indexes, query.unrestricted) == (
        "projects of a user",
        ("idx_projects_user_status",),
        None,
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("indexes: [idx_projects_user_status]", "indexes: []", "indexes"),
        ("requirement: JEEX-08", "requirement: fast", "requirement"),
        ("  sql:", "  limit: 3\n  sql:", "limit"),
        ("- name: projects", "- name: [", "expected"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "queries.yaml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(QueriesError, match=rf"{path}: (.|\n)*{said}"):
        read(path)
