"""A new key of the repository, and the way back under each key."""

from __future__ import annotations

from ops.backup import restore_points
from roles import paths
from tests.system.environments import Ephemeral
from tests.system.markers import forget_markers, mark, marked


def test_a_new_key_begins_a_new_repository_and_both_are_readable(ci: Ephemeral) -> None:
    """JEEX-30, JEEX-34, PLAT-33: restored from a backup under each key; nothing of the old repository is touched.

    Keys only go forward, so the environment stays with the second one.
    """
    before = {made["label"] for made in ci.backups()["stanza"]["backup"]}
    with ci.session() as session:
        mark(session, "under-the-old-key")
        restore_points.create(session, "jeex_idea", "old-key")
        mark(session, "later")
        old = f"{paths.REPOSITORY}/generation-1"
        backups = f"cd {old}/backup && find . -type f ! -name 'backup.info*' -print0 | sort -z | xargs -0 sha256sum | sha256sum"
        kept = session.run("all1", backups)
    ci.config["keel:repository"] = {"generation": 2}
    ci.save()
    ci.up()
    after = ci.backups()["stanza"]["backup"]
    new = [made for made in after if made["label"] not in before]
    assert before <= {made["label"] for made in after} and [made["type"] for made in new] == ["full"]
    with ci.session() as session:
        assert marked(session) == ["later", "under-the-old-key"]
        mark(session, "under-the-new-key")
        restore_points.create(session, "jeex_idea", "new-key")
        forget_markers(session)
        told = ci.keel("restore", "--to", "new-key", "--yes").stdout
        assert new[0]["label"] in told
        assert marked(session) == ["later", "under-the-new-key", "under-the-old-key"]
        told = ci.keel("restore", "--to", "old-key", "--yes").stdout
        assert any(label in told for label in before)
        assert marked(session) == ["under-the-old-key"]
        forget_markers(session)
        assert session.run("all1", backups) == kept
    assert ci.keel("backup", "verify").returncode == 0
    ci.up("--refresh", "--expect-no-changes")
