"""What is wrong is refused with a reason, changes nothing, and stops nothing else."""

import pytest
from judge import PREFIX
from test_guide import put_file
from units import journal, main_pid, options, sleeper, start

from fleetlab.host import wait_for

GOOD = {"desiredState": "launched", "options": options(sleeper())}
LONG_NAME = "a" * 300 + ".service"


@pytest.fixture
def unchanged(fleet, lab):
    """The test may change nothing: not the units, not fleetd itself."""
    start(fleet, "bystander.service", sleeper())
    number = fleet.wait_running("bystander.service")["bystander.service"]
    before = (fleet.collect("units"), fleet.collect("state"), main_pid(lab, 1, "fleet.service"),
              main_pid(lab, number, "bystander.service"))
    yield fleet
    after = (fleet.collect("units"), fleet.collect("state"), main_pid(lab, 1, "fleet.service"),
             main_pid(lab, number, "bystander.service"))
    assert after == before


def refused(answer):
    status, body = answer
    assert 400 <= status < 500, f"{status}: {body}"
    assert isinstance(body, dict) and body["error"]["code"] == status, body
    return body["error"]["message"]


@pytest.mark.parametrize("name", ["nosuffix", "wrong.type", "sp%20ace.service", "semi;colon.service", "@.service",
                                  LONG_NAME, "tem@pl.mount", "dot."])
def test_bad_unit_names(unchanged, name):
    assert refused(unchanged.api("PUT", f"/units/{name}", GOOD))


@pytest.mark.parametrize("body", [b"", b"not json", b"{", b'{"options": 1}', b'"text"', b"[1]", b'{"options": [null]}',
                                  b'{"options": [{"section": "Service", "name": 5}]}', b'{"desiredState": "launched", \xff}'], ids=str)
def test_bodies_that_are_no_unit(unchanged, body):
    assert refused(unchanged.api("PUT", "/units/new.service", body))


def test_a_body_of_another_type(unchanged):
    refused(unchanged.api("PUT", "/units/new.service", GOOD, headers={"Content-Type": "text/plain"}))


def test_another_name_in_the_body(unchanged):
    refused(unchanged.api("PUT", "/units/new.service", {"name": "old.service", **GOOD}))


def test_a_word_that_is_no_state(unchanged):
    refused(unchanged.api("PUT", "/units/bystander.service", {"desiredState": "flying"}))


def test_a_body_of_three_megabytes(unchanged):
    text = b'{"desiredState": "launched", "options": [{"section": "Unit", "name": "Description", "value": "' + b"x" * 3_000_000
    try:
        refused(unchanged.api("PUT", "/units/new.service", text + b'"}]}'))
    except OSError:
        # The server may refuse by its headers alone and close while we still send; only its answer is then lost.
        pass


# Named, because pytest puts a test's name into the environment, where such bodies are too long.
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"options": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
                         ids=["open", "closed"])
def test_a_hundred_thousand_nested_brackets(unchanged, body):
    refused(unchanged.api("PUT", "/units/new.service", body))


@pytest.mark.parametrize("option", [
    {"section": "Service", "name": "Exec\nStart", "value": "/bin/true"},
    {"section": "Service", "name": "ExecStart", "value": "/bin/echo " + "x" * 3000},
    {"section": "Serv]ice", "name": "ExecStart", "value": "/bin/true"},
], ids=["name", "long-line", "section"])
def test_options_that_do_not_make_a_unit_file(unchanged, option):
    assert refused(unchanged.api("PUT", "/units/new.service", {"desiredState": "launched", "options": [option]}))


@pytest.mark.parametrize("x_fleet", ["MachineID=a\nMachineOf=b.service", "Global=true\nMachineOf=b.service"])
def test_requirements_that_exclude_one_another(unchanged, x_fleet):
    assert refused(unchanged.api("PUT", "/units/new.service", {**GOOD, "options": options(sleeper(x_fleet))}))


def test_an_unknown_path_and_a_wrong_method(unchanged):
    refused(unchanged.api("GET", "/nothing"))
    refused(unchanged.api("POST", "/units", {}))
    refused(unchanged.api("GET", "/units/not-there.service"))
    refused(unchanged.api("DELETE", "/units/not-there.service"))


def test_fleetctl_refuses_a_file_that_does_not_parse(unchanged, lab):
    put_file(lab, "broken.service", "[Service\nExecStart=/bin/true\n")
    done = unchanged.ctl("submit", "/root/broken.service", check=False)
    assert done.returncode != 0
    assert "broken.service" in done.stderr


def test_a_unit_that_systemd_refuses_shows_why_and_the_others_go_on(fleet, lab):
    start(fleet, "refused.service", "[Service]\nType=simple\nExecStart=relative/path\n")
    start(fleet, "failing.service", "[Service]\nExecStart=/bin/false\n")
    start(fleet, "good.service", sleeper())
    fleet.wait_running("good.service")

    def reason():
        return fleet.ctl("status", "refused.service", check=False)
    # systemd's word for it is bad-setting; its log says more.
    wait_for("a reason for refused.service", lambda: "bad unit file setting" in (reason().stdout + reason().stderr).lower()
             or "bad-setting" in reason().stdout + reason().stderr, 20, lambda: reason().stdout + reason().stderr)
    wait_for("failing.service to be shown as failed", lambda: "failed/failed" in fleet.places("failing.service").values(), 20,
             lambda: fleet.ctl("list-units").stdout)
    fleet.ctl("destroy", "refused.service", "failing.service")
    wait_for("the bad units to be gone", lambda: {row["UNIT"] for row in fleet.units()} == {"good.service"}, 20,
             lambda: fleet.ctl("list-units").stdout)


# What nobody can understand: the order to stop, to whoever would read only a part of it.
UNREADABLE = {"nonsense": "inactive", "newer": '{"v":99,"state":"inactive"}',
              "too-large": '{"v":1,"state":"inactive","x":"%s"}' % ("x" * (1 << 20))}


def test_what_cannot_be_read_in_the_registry_freezes_its_unit_only(judge, lab):
    damaged = {}  # unit: the key that is to be damaged, without the machine
    for kind in ("unit", "target", "schedule"):
        for name in UNREADABLE:
            judge.launch(f"{kind}-{name}.service", sleeper())
            damaged[f"{kind}-{name}.service"] = (kind, name)
    judge.launch("bystander.service", sleeper())
    before = judge.at_rest()
    ids = {unit: lab.machine(number).id for number, unit in before}
    keys = {unit: f"{PREFIX}{kind}/" + (f"{ids[unit]}/" if kind == "schedule" else "") + unit
            for unit, (kind, _) in damaged.items()}
    good = {key: each["value"] for key, each in lab.etcd.keys(PREFIX).items()}
    for unit, (_, name) in damaged.items():
        lab.etcd.put(keys[unit], UNREADABLE[name])

    def told(number, unit):
        status, body = judge.ask(number, f"/status?unit={unit}")
        return status == 200 and body["units"][0].get("reason", "")

    def shown():
        said = "".join(journal(machine) for machine in lab.machines())
        return [unit for unit, key in keys.items() if key not in (told(1, unit) or "") or key not in said]
    wait_for("the API and the log to name every key that cannot be read", lambda: not shown(), 30,
             lambda: str({unit: told(1, unit) for unit in shown()}))
    assert told(1, "bystander.service") == ""
    judge.untouched(before)

    # Nor does a fleetd stop anything that finds them when it starts.
    for machine in lab.machines():
        machine.run("systemctl", "restart", "fleet", timeout=100)
    judge.answers()
    wait_for("the API to name them again", lambda: all(key in (told(2, unit) or "") for unit, key in keys.items()), 30)
    judge.destroy("bystander.service")
    judge.launch("new.service", sleeper("Global=true"))
    assert {key for key in judge.at_rest() if key[1] in damaged} == {key for key in before if key[1] in damaged}
    judge.untouched(before, moved=["bystander.service"])

    for key in keys.values():
        lab.etcd.put(key, good[key])
    wait_for("nothing to be said of them any more", lambda: not any(told(3, unit) for unit in keys), 30)
    judge.at_rest()
    judge.untouched(before, moved=["bystander.service"])
