"""fleetd and etcd come and go; the units do not notice."""

from units import journal, main_pid

from fleetlab.fleet import Fleet
from fleetlab.host import wait_for


def fleetd(lab, number):
    return main_pid(lab, number, "fleet.service")


def wait_back(judge, lab, number, old):
    wait_for(f"fleetd on machine {number} to be replaced", lambda: fleetd(lab, number) not in (0, old), 20)
    judge.answers(number)


def test_restart_of_fleet_touches_no_unit(judge, lab, before):
    for number in (1, 2, 3):
        old = fleetd(lab, number)
        lab.machine(number).run("systemctl", "restart", "fleet", timeout=100)
        wait_back(judge, lab, number, old)
        judge.untouched(before)
    assert judge.at_rest() == before


def test_a_fleetd_that_cannot_tell_a_restart_from_a_stop_touches_no_unit(judge, lab, before):
    """Without /proc/1 it does not find out which unit it is of, and so cannot ask systemd why that one is stopped."""
    machine = lab.machine(2)
    drop_in = machine.root / "etc/systemd/system/fleet.service.d/blind.conf"
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("[Service]\nProtectProc=invisible\n")
    try:
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "fleet", timeout=100)  # Still with open eyes.
        machine.run("systemctl", "restart", "fleet", timeout=100)
        assert "systemd does not say whether this is a restart or a stop" in journal(machine)
    finally:
        drop_in.unlink()
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "fleet", timeout=100)
    assert judge.at_rest() == before


def test_a_machine_whose_api_cannot_be_reached_keeps_its_units(judge, lab, before):
    machine = lab.machine(2)
    old = fleetd(lab, 2)
    machine.run("systemctl", "stop", "fleet.socket")
    assert fleetd(lab, 2) == old, "who closes the API does not stop fleet"
    drop_in = machine.root / "etc/systemd/system/fleet.socket.d/nowhere.conf"
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("[Socket]\nListenStream=192.0.2.1:49153\n")  # RFC 5737: it is no address of anybody
    try:
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "fleet", timeout=100)
        assert machine.run("systemctl", "is-failed", "fleet.socket", check=False).stdout.strip() == "failed"
        wait_for("fleetd on machine 2 to be replaced", lambda: fleetd(lab, 2) not in (0, old), 20)
        wait_for("machine 2 to be there", lambda: machine.id in Fleet(lab, via=1).ctl("list-machines", "--full").stdout, 20)
        assert "no API" in journal(machine)
        judge.untouched(before)
    finally:
        drop_in.unlink()
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "fleet", timeout=100)
    judge.answers(2)
    assert judge.at_rest() == before
    judge.untouched(before)


def test_a_new_fleetd_still_commands_the_units_that_it_found(judge, lab, before):
    number, unit = next((k, u) for k, u in before if u == "one1.service")
    old = fleetd(lab, number)
    lab.machine(number).run("kill", "-KILL", str(old))
    wait_back(judge, lab, number, old)
    judge.destroy(unit)
    wait_for(f"{unit} to end on machine {number}", lambda: main_pid(lab, number, unit) == 0, 20)
    judge.at_rest()
    judge.untouched(before, moved=[unit])


def test_without_etcd_fleetd_starts_says_so_and_touches_nothing(judge, lab, before):
    lab.etcd.stop()
    old = fleetd(lab, 2)
    lab.machine(2).run("kill", "-KILL", str(old))
    wait_for("fleetd on machine 2 to be replaced", lambda: fleetd(lab, 2) not in (0, old), 20)
    said = lambda: lab.machine(2).run("journalctl", "-u", "fleet", f"_PID={fleetd(lab, 2)}", "--no-pager").stdout
    wait_for("fleetd to say that it cannot reach etcd", lambda: "etcd" in said() and lab.etcd_url.split("//")[1] in said(), 20, said)
    assert Fleet(lab, 2).ctl("list-units", check=False).returncode != 0
    judge.untouched(before)
    # The others notice a little later: until then they answer from what they know.
    judge.says_out_of_contact(1, 2, 3)
    lab.etcd.start()
    assert judge.at_rest() == before
