"""etcd hangs, dies, runs full and forgets: no unit notices."""

import pytest
from conftest import TTL
from judge import GRACE
from units import sleeper

from fleetlab.host import LabError, wait_for


def test_frozen_for_three_ttls_and_thawed(judge, lab, before):
    """All leases run out in the moment that etcd is back: an outage, and no reason to call any machine dead."""
    lab.etcd.freeze()
    judge.says_out_of_contact(1, 2, 3)
    judge.holds(before, 3 * TTL)
    lab.etcd.thaw()
    assert judge.at_rest(quiet=GRACE) == before


def test_killed_in_the_middle_of_much_work_and_restarted_with_its_data(judge, lab, before):
    """What was acknowledged is carried out, whatever became of the decisions that etcd took with it."""
    for i in range(12):
        judge.launch(f"new{i}.service", sleeper())
    lab.etcd.kill()
    judge.says_out_of_contact(1, 2, 3)
    judge.untouched(before)
    lab.etcd.start()
    judge.at_rest(quiet=GRACE)
    judge.untouched(before)


def test_its_disk_full_and_room_made_again(judge, lab, before):
    [etcd] = lab.etcd.members
    with etcd.on_disk_of(megabytes=256):
        judge.at_rest()
        filler = etcd.fill_disk()

        def dead():
            # It renews leases without its disk; with the first write that finds no room it ends itself.
            try:
                lab.etcd.put("/filler", "x" * 100_000)
            except LabError:
                pass
            return not lab.etcd.running()
        wait_for("etcd to end on its full disk", dead, 30, lab.etcd.said)
        judge.says_out_of_contact(1, 2, 3)
        judge.untouched(before)
        filler.unlink()
        lab.etcd.start()
        assert judge.at_rest(quiet=GRACE) == before
