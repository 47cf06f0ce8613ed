"""Unit files for the tests, as the options that the API takes and as text."""


def options(text):
    found, section = [], ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif "=" in line:
            name, _, value = line.partition("=")
            found.append({"section": section, "name": name, "value": value})
    return found


def sleeper(x_fleet=""):
    """A service that runs until it is stopped."""
    return "[Service]\nExecStart=/bin/sleep infinity\n" + (f"\n[X-Fleet]\n{x_fleet}\n" if x_fleet else "")


def start(fleet, name, text, state="launched"):
    status, body = fleet.api("PUT", f"/units/{name}", {"name": name, "desiredState": state, "options": options(text)})
    assert status == 201, f"PUT {name}: {status} {body}"


def main_pid(lab, number, unit):
    """The unit's main process as its machine's systemd knows it; 0 if it has none."""
    return int(lab.machine(number).run("systemctl", "show", "--property=MainPID", "--value", unit).stdout)


def show(machine, units, *properties):
    """{unit: {property: value}} as the machine's systemd has them."""
    said = machine.run("systemctl", "show", f"--property=Id,{','.join(properties)}", *units).stdout
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in said.strip().split("\n\n")]
    return {block.pop("Id"): block for block in blocks}


def lives(lab, places):
    """{(machine number, unit): (InvocationID, MainPID)} of {unit: machine number, or several}: what a unit that was
    touched in any way does not keep."""
    found = {}
    for number in {k for where in places.values() for k in _numbers(where)}:
        units = sorted(unit for unit, where in places.items() if number in _numbers(where))
        for unit, said in show(lab.machine(number), units, "InvocationID", "MainPID").items():
            found[number, unit] = (said["InvocationID"], int(said["MainPID"]))
    return found


def _numbers(where):
    return [where] if isinstance(where, int) else list(where)


def journal(machine, *matches, unit="fleet"):
    """What a service has said since the machine was made, one line each."""
    return machine.run("journalctl", "--unit", unit, "--output=cat", "--no-pager", *matches).stdout
