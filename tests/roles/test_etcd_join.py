"""How an etcd member starts: what the members that run know of it decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from roles import paths
from tests.roles.targets import files
from tests.stand_ins import calls, run_script, stand_in

PEER = "https://10.88.0.12:2380"
DB1 = "a1, started, db1, https://10.88.0.11:2380, https://10.88.0.11:2379, false"
EDGE1 = "e1, started, edge1, https://10.88.0.21:2380, https://10.88.0.21:2379, false"
DB2 = f"b2, started, db2, {PEER}, https://10.88.0.12:2379, false"
ADDED = f"b9, unstarted, , {PEER}, , false"
ALL = f"db1=https://10.88.0.11:2380,db2={PEER},edge1=https://10.88.0.21:2380"
JOINS = f"ETCD_INITIAL_CLUSTER_STATE=existing\nETCD_INITIAL_CLUSTER=db1=https://10.88.0.11:2380,edge1=https://10.88.0.21:2380,db2={PEER}\n"


def kept(folder: Path) -> Path:
    """What a member that ran has on its volume."""
    return folder / "data" / "member"


def start(folder: Path, *known: str, data: bool, answers: bool = True) -> tuple[str, list[str]]:
    """What db2 starts with, and the changes that it asked of the others, which know these members."""
    (folder / "members").write_text("".join(f"{member}\n" for member in known))
    stand_in(
        folder,
        "etcdctl",
        f"""shift 2
case "$*" in
  "member list") {"cat" if answers else "false"} {folder}/members;;
  "member add "*) echo '{ADDED}' >> {folder}/members;;
  "member remove b2") sed -i /^b2/d {folder}/members;;
  "member update b2 --peer-urls={PEER}") ;;
  *) exit 1;;
esac""",
    )
    text = files("etcd", host="db2")["/usr/local/lib/keel/etcd-join"].content
    text = text.replace("/run/keel-etcd", str(folder / "run")).replace(paths.ETCD_DATA, str(folder / "data"))
    if data:
        kept(folder).mkdir(parents=True)
    done = run_script(folder, text)
    assert done.returncode == 0, done.stderr
    joined = folder / "run" / "join.env"
    asked = [line.partition("member ")[2] for line in calls(folder).splitlines() if "member " in line]
    return (joined.read_text() if joined.exists() else ""), [each for each in asked if each != "list"]


def test_a_member_that_runs_again_starts_as_it_was(tmp_path: Path) -> None:
    assert start(tmp_path, DB1, DB2, EDGE1, data=True) == ("", [])


@pytest.mark.parametrize("data", [True, False])
def test_where_nobody_answers_only_one_without_data_is_part_of_a_new_cluster(tmp_path: Path, data: bool) -> None:
    new = f"ETCD_INITIAL_CLUSTER_STATE=new\nETCD_INITIAL_CLUSTER={ALL}\n"
    assert start(tmp_path, data=data, answers=False) == ("" if data else new, [])


def test_one_that_lost_its_data_is_removed_and_added(tmp_path: Path) -> None:
    assert start(tmp_path, DB1, DB2, EDGE1, data=False) == (JOINS, ["remove b2", f"add db2 --peer-urls={PEER}"])


def test_one_that_joins_is_added(tmp_path: Path) -> None:
    """X-23: the members that run are not restarted for it."""
    assert start(tmp_path, DB1, EDGE1, data=False) == (JOINS, [f"add db2 --peer-urls={PEER}"])


def test_one_whose_first_start_was_interrupted_goes_on(tmp_path: Path) -> None:
    """It was added, and never ran: adding it again would be refused for good."""
    assert start(tmp_path, DB1, EDGE1, ADDED, data=False) == (JOINS, [])


def test_data_of_a_member_that_was_taken_out_is_worth_nothing(tmp_path: Path) -> None:
    """etcd would never let it in again with that data."""
    assert start(tmp_path, DB1, EDGE1, data=True) == (JOINS, [f"add db2 --peer-urls={PEER}"])
    assert not kept(tmp_path).exists()


def test_a_changed_address_is_told_to_the_others(tmp_path: Path) -> None:
    """It keeps its data, and they would seek it where it was."""
    before = DB2.replace("10.88.0.12", "10.88.0.99")
    assert start(tmp_path, DB1, before, EDGE1, data=True) == ("", [f"update b2 --peer-urls={PEER}"])


def test_those_before_it_join_first(tmp_path: Path) -> None:
    """A member that starts must know all others, so two do not join at the same time."""
    stand_in(tmp_path, "sleep", f"echo '{DB1}' >> {tmp_path}/members")
    joined, asked = start(tmp_path, EDGE1, data=False)
    assert (joined.count("db1="), asked) == (1, [f"add db2 --peer-urls={PEER}"])
    assert "sleep 1" in calls(tmp_path)
