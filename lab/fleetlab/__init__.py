"""A cluster of real machines on one host: see lab/README.md.

    from fleetlab.lab import Lab
    lab = Lab("mine"); lab.up(machines=3); lab.machine(1).run("systemctl", "status")
"""
