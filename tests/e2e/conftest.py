"""One lab for all end-to-end tests, and a clean cluster for each test."""

import os
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "lab"))

from fleetlab.fleet import Fleet  # noqa: E402
from fleetlab.host import LabError, run, tail, wait_for  # noqa: E402
from fleetlab.lab import Lab  # noqa: E402
from fleetlab.play import METADATA  # noqa: E402
from units import sleeper  # noqa: E402

TTL = 5


@pytest.fixture(scope="session")
def lab():
    """Three machines with the guide's metadata. The lab belongs to this process: should it be killed, the next lab tool
    that runs removes the lab."""
    lab = Lab(f"e2e-{os.getpid()}", say=lambda text: print(f"lab: {text}", file=sys.__stderr__))
    try:
        lab.up(machines=3, metadata=METADATA, ttl=TTL, owner=os.getpid())
        yield lab
    finally:
        lab.down()


@pytest.fixture
def fleet(lab):
    """A cluster of three live machines and no units. Put right before a test and not after it, so that a failed test
    leaves what there is to see."""
    lab.etcd.thaw()
    lab.etcd.start()
    for machine in lab.machines():
        if not machine.running():
            machine.power_on()
        machine.rejoin()
    for machine in lab.machines():
        machine.wait_booted()
        machine.run("systemctl", "reset-failed", "fleet.service", check=False)
        # A restart and no reload: whatever is configured otherwise, or left undone, is put right by it.
        machine.run("systemctl", "restart" if machine.configure(machine.fleet_conf()) else "start", "fleet.service")
    fleet = Fleet(lab, via=1)
    fleet.wait_machines(3)
    for unit in fleet.collect("units"):
        status, body = fleet.api("DELETE", f"/units/{unit['name']}")
        assert status in (204, 404), f"cannot destroy {unit['name']} before the test: {status} {body}"
    # A container that is stopped while it starts may leave a process that only systemd's last signal ends, after its
    # TimeoutStopSec= of 90 s.
    wait_for("no unit to be left", lambda: not fleet.collect("state"), 120, lambda: str(fleet.collect("state")))
    return fleet


@pytest.fixture(scope="session")
def packages(lab):
    """{name: its file} of what cpack makes of the build that is tested."""
    build = Path(lab.state["bin"]).parent
    for old in build.glob("fleet*.deb"):
        old.unlink()
    run("cpack", "--config", build / "CPackConfig.cmake", timeout=300)
    found = {file.name.partition("_")[0]: file for file in build.glob("fleet*.deb")}
    assert sorted(found) == ["fleet", "fleetctl"]
    return found


@pytest.fixture
def judge(fleet):
    from judge import Judge  # Not above: it needs the constants of this file.
    return Judge(fleet)


@pytest.fixture
def before(judge):
    """A cluster at rest with units of every kind; answers what runs."""
    judge.launch("everywhere.service", sleeper("Global=true"))
    judge.launch("side.service", sleeper("MachineOf=one0.service"))
    for i in range(4):
        judge.launch(f"one{i}.service", sleeper())
    return judge.at_rest()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure, shows what fleet said on each machine."""
    report = (yield).get_result()
    lab = item.funcargs.get("lab")
    if not report.failed or not lab or not lab.exists():
        return
    for machine in lab.machines():
        try:
            said = machine.run("journalctl", "-u", "fleet", "-n", "40", "--no-pager", "-o", "short-precise").stdout
        except LabError as error:
            said = str(error)
        report.sections.append((f"fleet on {machine.name}", said))
    for member in lab.etcd.members:
        report.sections.append((member.name, tail(member.log)))
