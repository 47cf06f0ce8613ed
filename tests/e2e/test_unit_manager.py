"""The contract of the UnitManager port, over a real systemd: the program is built beside fleetd and run in a machine."""

import shutil
from pathlib import Path

PROGRAM = "unit_manager_contract_real"


def test_sdbus_unit_manager_keeps_the_contract(lab):
    built = Path(lab.state["bin"]) / PROGRAM
    assert built.exists(), f"{built} is not built: cmake --build --preset release"
    machine = lab.machine(3)
    # fleet would take the test's unit files, in its own directory, for its own.
    machine.run("systemctl", "stop", "fleet", timeout=100)
    shutil.copy(built, machine.root / "root" / PROGRAM)
    done = machine.run(f"/root/{PROGRAM}", "--gtest_color=no", check=False, timeout=280)
    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "[  PASSED  ]" in done.stdout
