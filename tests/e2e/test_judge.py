"""The judge of the tests of faults sees what it is there to see."""

import pytest
from units import sleeper


@pytest.fixture
def before(judge):
    judge.launch("a.service", sleeper())
    judge.launch("b.service", sleeper())
    return judge.at_rest()


def test_it_sees_restarts_losses_doubles_and_a_registry_that_moves(judge, lab, before):
    judge.untouched(before)
    place = {unit: number for number, unit in before}
    lab.machine(place["a.service"]).run("systemctl", "restart", "a.service")
    with pytest.raises(AssertionError, match="touched.*a.service"):
        judge.untouched(before)
    judge.untouched(before, moved=["a.service"])

    here, there = lab.machine(place["b.service"]), lab.machine(place["b.service"] % 3 + 1)
    unit = here.run("systemctl", "cat", "b.service").stdout
    there.run("sh", "-c", "cat >/run/systemd/system/b.service && systemctl start b.service", input=unit)
    assert any("b.service should run on 1" in wrong for wrong in judge.disorder()), judge.disorder()
    there.run("sh", "-c", "systemctl stop b.service && rm /run/systemd/system/b.service && systemctl daemon-reload")
    judge.at_rest()

    judge.everywhere["lost.service"], judge.states["lost.service"] = False, "active/"
    assert any("lost.service should run on 1" in wrong for wrong in judge.disorder())
    del judge.everywhere["lost.service"]
    revision = lab.etcd.revision()
    judge.launch("c.service", sleeper())
    assert lab.etcd.revision() > revision
    judge.at_rest()
