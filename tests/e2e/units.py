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
