"""What the backup host does at the end of an `up`: stanza, first backup, the first look, the end of a recovery."""

from __future__ import annotations

from typing import Any

import pytest

from environment.products import revisions
from environment.repositories import written
from environment.settings import Recovery, Repository, Schedule, SecondRepository
from keel_host import pgbackrest as told
from roles import paths
from roles.jobs import role as jobs
from roles.order import ROLES
from roles.pgbackrest import role as pgbackrest
from tests.roles.hosts import Host
from tests.roles.targets import files, manifest_of, target

BOTH = Repository(second=SecondRepository(endpoint="s3.example.com", bucket="backups"))
STANZA = "runuser -u postgres -- pgbackrest --stanza=dev"
SEAL = "/usr/local/lib/keel/seal-archive"
"""From then on the account that receives WAL may add it to the new stanza."""
HIDDEN = "jobs: database hosts read the first repository alone"
JOB, WATCH = "/usr/local/lib/keel/job", "/usr/local/lib/keel/watch-archive"
OK, SILENT = {"code": 0, "message": "ok"}, {"code": 99, "message": "connection refused"}
MADE = {
    "label": "A", "type": "full", "timestamp": {"start": 0, "stop": 1}, "lsn": {"start": "0/1", "stop": "0/2"},
    "archive": {"start": "0" * 24, "stop": "0" * 24}, "info": {"size": 1}, "database": {"id": 1, "repo-key": 1},
}  # fmt: skip
WHOLE = told.stanza({"name": "dev", "status": OK, "db": [{"id": 1}], "backup": [MADE]})
EMPTY = told.stanza({"name": "dev", "status": OK})
AWAY = told.stanza({"name": "dev", "status": SILENT, "repo": [{"key": 2, "status": SILENT}]})


def converge_cluster(
    monkeypatch: pytest.MonkeyPatch,
    *states: told.Stanza | None,
    present: tuple[str, ...] = ("/run/keel-alerts.json",),
    **sections: Any,
) -> Host:
    """The role's work on the whole cluster, where the repositories hold ``states`` and these files are there."""
    of = {f"{STANZA} --repo={number} {paths.INFO}": state for number, state in enumerate(states, 1)}
    host = Host(Stanza=lambda question: of[question], Present=lambda path: path in present)
    monkeypatch.setattr(jobs, "host", host)
    monkeypatch.setattr(jobs, "perform", host.perform)
    ROLES["jobs"].converge_cluster(target(ROLES["jobs"], "ops1", manifest_of("dev").model_copy(update=sections)))
    return host


def test_a_new_cluster_gets_a_stanza_a_backup_and_a_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-31: before `up` has ended."""
    host = converge_cluster(monkeypatch, None, present=())
    assert host.done == {
        "jobs: stanza dev": [f"{STANZA} stanza-create", SEAL, f"{STANZA} check"],
        "jobs: a first full backup in repository 1 (backup volume)": [f"{JOB} full"],
        "jobs: the archive is watched": [WATCH],
    }


def test_a_second_run_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Design, principle 5."""
    host = converge_cluster(monkeypatch, WHOLE, WHOLE, repository=BOTH)
    assert host.done == {
        "jobs: stanza dev": [],
        "jobs: a first full backup in repository 1 (backup volume)": [],
        "jobs: a first full backup in repository 2 (S3)": [],
        HIDDEN: [],
        "jobs: the archive is watched": [],
    }


def test_a_new_repository_beside_an_old_one_gets_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-31: the stanza is made in all of them, the backup where there is none."""
    host = converge_cluster(monkeypatch, WHOLE, EMPTY, repository=BOTH)
    assert host.done["jobs: stanza dev"] == [f"{STANZA} stanza-create", SEAL, f"{STANZA} check"]
    assert host.done["jobs: a first full backup in repository 1 (backup volume)"] == []
    assert host.done["jobs: a first full backup in repository 2 (S3)"] == [f"{JOB} full-second"]


def test_one_that_is_away_waits_for_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-31: unless it is the first, whose error is this run's."""
    host = converge_cluster(monkeypatch, WHOLE, AWAY, repository=BOTH)
    assert list(host.done) == [
        "jobs: stanza dev", "jobs: a first full backup in repository 1 (backup volume)", HIDDEN, "jobs: the archive is watched",
    ]  # fmt: skip
    assert not any(host.done.values())
    assert converge_cluster(monkeypatch, AWAY, WHOLE, repository=BOTH).done["jobs: stanza dev"]


def test_what_made_the_cluster_is_hidden_from_database_hosts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """W5: the keys of the store elsewhere. Where no other host is served there is nothing to hide."""
    present = ("/run/keel-alerts.json", "/run/keel-served.conf")
    host = converge_cluster(monkeypatch, WHOLE, WHOLE, present=present, repository=BOTH)
    assert host.done[HIDDEN] == ["rm -f /run/keel-served.conf"]
    assert HIDDEN not in converge_cluster(monkeypatch, WHOLE, present=present).done


@pytest.mark.parametrize("acted", [True, False])
def test_a_recovery_ends_with_a_backup_and_its_token_is_spent(monkeypatch: pytest.MonkeyPatch, acted: bool) -> None:
    """PLAT-36: an order acts once; the backup is of the new timeline, and comes before the token is written down."""
    spent = "/var/lib/pgbackrest/recoveries/again"
    present = ("/run/keel-alerts.json", *([spent] if acted else []))
    host = converge_cluster(monkeypatch, WHOLE, present=present, recovery=Recovery(token="again"))
    assert host.done["jobs: recovery again is done"] == ([] if acted else [f"{JOB} full", f"date -u +%FT%TZ > {spent}"])


def test_the_answer_of_a_repository_is_read() -> None:
    """An error of pgBackRest's is no answer, which asks for a stanza."""
    fact = jobs.Stanza()
    assert fact.command("ask") == "ask || true"
    found = fact.process(['[{"name": "dev", "db": [{"id": 1}],', '"status": {"code": 2, "message": "m"}}]'])
    assert found == told.stanza({"name": "dev", "db": [{"id": 1}], "status": {"code": 2, "message": "m"}})
    assert fact.process([]) is None


def test_when_each_job_is_due() -> None:
    """PLAT-45: the alerts know what cron knows; what is off is never late."""
    daily = {"full": "0 2 * * *", "dumps": "0 2 * * *"}
    first, second = written(BOTH)
    assert jobs._times(Schedule(), [first]) == daily | {"incremental": "0 8,14,20 * * *", "drill": "0 4 * * 0"}
    off = Schedule(differential="0 3 * * 1", incremental="off", drill="off")
    assert jobs._times(off, [first, second]) == daily | {"differential": "0 3 * * 1", "full-second": "0 2 * * *"}


def test_what_a_drill_expects_of_a_product() -> None:
    """PLAT-35: its newest revision, its extensions, and the tables of its users' rows, each in order."""
    products = jobs.settings(target(ROLES["jobs"], "ops1", manifest_of("dev"))).products
    assert list(products) == ["ai_assistant", "bacopilot", "componentforge", "jeex_idea", "ruleiq"]
    ruleiq = products["ruleiq"]
    assert ruleiq.head == revisions("ruleiq")[-1]
    assert ruleiq.extensions == ("pg_stat_statements", "pg_trgm")
    assert ruleiq.tenants == tuple(sorted(ruleiq.tenants)) and {"users", "evidence_items"} <= set(ruleiq.tenants)
    assert products["ai_assistant"].tenants == ()


def test_what_is_dumped_of_a_product() -> None:
    """CF-28, BAC-34: its facts say what beside the whole database."""
    products = jobs.settings(target(ROLES["jobs"], "ops1", manifest_of("dev"))).products
    assert [name for name, product in products.items() if product.plain_dump] == ["bacopilot"]
    selected = {name: product.selected_tables for name, product in products.items() if product.selected_tables}
    assert selected == {"componentforge": ("users", "conversations")}


def test_cron_runs_the_drill_and_the_known_moment() -> None:
    """ADA-27, PLAT-45: weekly; the moment after backup and dumps."""
    crontab = files("jobs")["/etc/cron.d/keel"].content
    assert "0 4 * * 0 root /usr/local/lib/keel/job drill" in crontab
    assert "job full; /usr/local/lib/keel/job dumps; /usr/local/lib/keel/job known" in crontab


@pytest.mark.parametrize("copying", [True, False])
def test_a_second_repository_that_was_taken_out_leaves_no_key_behind(
    monkeypatch: pytest.MonkeyPatch, copying: bool
) -> None:
    """JEEX-30: copying ends first; what the store holds stays."""
    host = Host(Present=copying)
    monkeypatch.setattr(pgbackrest, "host", host)
    monkeypatch.setattr(pgbackrest, "perform", host.perform)
    role = ROLES["pgbackrest"]
    role.activate(target(role, "ops1", manifest_of("dev")), frozenset())
    assert host.questions == [("Present", {"path": "/etc/systemd/system/keel-copy-archive.timer"})]
    commands = host.done["pgbackrest: no second repository any more"]
    if copying:
        stop, keys, units = commands
        assert stop.startswith(
            "systemctl disable --now keel-copy-archive.timer; systemctl stop keel-copy-archive.service"
        )
        assert {"/etc/pgbackrest/second.conf", "/etc/pgbackrest/second-ca.crt"} <= set(keys.split())
        assert units.endswith("systemctl daemon-reload") and "/etc/systemd/system/keel-copy-archive.service" in units
    else:
        assert commands == []


@pytest.mark.parametrize("serving", [True, False])
def test_a_host_that_is_alone_again_serves_no_one(monkeypatch: pytest.MonkeyPatch, serving: bool) -> None:
    """PLAT-37, PLAT-49: what it received is sealed first, and then nothing listens that nobody needs."""
    host = Host(Present=serving)
    monkeypatch.setattr(pgbackrest, "host", host)
    monkeypatch.setattr(pgbackrest, "perform", host.perform)
    role = ROLES["pgbackrest"]
    role.activate(target(role, "all1", manifest_of("ci")), frozenset())
    assert host.questions[0] == ("Present", {"path": "/etc/systemd/system/keel-pgbackrest.service"})
    commands = host.done["pgbackrest: no other host needs its server any more"]
    if serving:
        seal, stop = commands
        assert seal.index("systemctl start keel-seal-archive.service") < seal.index(
            "disable --now keel-seal-archive.timer"
        )
        assert stop.startswith("systemctl disable --now keel-pgbackrest.service; rm ")
    else:
        assert commands == []


@pytest.mark.parametrize(("host", "settings"), [("ops1", BOTH), ("db1", Repository()), ("db1", BOTH)])
def test_elsewhere_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, host: str, settings: Repository) -> None:
    """Where it is copied, and on hosts that never copy: a host that answers no fact."""
    monkeypatch.setattr(pgbackrest, "host", Host())
    role = ROLES["pgbackrest"]
    role.activate(target(role, host, manifest_of("dev").model_copy(update={"repository": settings})), frozenset())
