"""A stand-in for systemd's manager, for the tests of the systemd cgroup driver: org.freedesktop.systemd1 as far as scopes need it.

systemd1.py bus LOG          on the bus of DBUS_SYSTEM_BUS_ADDRESS
systemd1.py direct PATH LOG  on a socket of its own, as /run/systemd/private

It makes groups and moves processes as systemd does, and writes each call with its arguments' types as a line of JSON. A unit whose name
has `fails` in it comes to nothing.
"""
import json
import os
import signal
import sys
import time

import dbus
import dbus.mainloop.glib
import dbus.server
import dbus.service
from gi.repository import GLib

MANAGER = "org.freedesktop.systemd1.Manager"
ROOTS = [p for p in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified") if os.path.isdir(p)] or ["/sys/fs/cgroup"]
units = {}
log = None


def plain(value):
    """A value with its type: ["t", 7]."""
    kinds = [(dbus.Boolean, "b", bool), (dbus.UInt32, "u", int), (dbus.UInt64, "t", int), (dbus.Int32, "i", int), (dbus.Int64, "x", int),
             (dbus.Byte, "y", int), (dbus.ObjectPath, "o", str), (dbus.String, "s", str)]
    for kind, letter, convert in kinds:
        if isinstance(value, kind):
            return [letter, convert(value)]
    if isinstance(value, dbus.Struct):
        return ["r", [plain(v) for v in value]]
    if isinstance(value, dbus.Array):
        return ["a" + str(value.signature), [plain(v)[1] for v in value]]
    return ["?", str(value)]


def note(member, **fields):
    log.write(json.dumps({"member": member, **fields}) + "\n")
    log.flush()


def slice_path(name):
    stem, path, prefix = name[:-len(".slice")], "", ""
    for part in [] if name == "-.slice" else stem.split("-"):
        path, prefix = path + "/" + prefix + part + ".slice", prefix + part + "-"
    return path


def error(name, text):
    return dbus.exceptions.DBusException(text, name="org.freedesktop.systemd1." + name)


class Manager(dbus.service.Object):
    jobs = 0

    @dbus.service.signal(MANAGER, signature="uoss")
    def JobRemoved(self, number, job, unit, result):
        pass

    def job(self, unit, result):
        Manager.jobs += 1
        path = dbus.ObjectPath("/org/freedesktop/systemd1/job/%d" % Manager.jobs)
        # Another's job first: only one's own counts.
        self.JobRemoved(99, "/org/freedesktop/systemd1/job/99000", unit, "canceled")
        GLib.idle_add(lambda number=Manager.jobs: self.JobRemoved(number, path, unit, result) and False)
        return path

    @dbus.service.method(MANAGER, in_signature="", out_signature="")
    def Subscribe(self):
        note("Subscribe")

    @dbus.service.method(MANAGER, in_signature="ssa(sv)a(sa(sv))", out_signature="o")
    def StartTransientUnit(self, name, mode, properties, aux):
        named = {str(k): v for k, v in properties}
        note("StartTransientUnit", name=name, mode=mode, properties={k: plain(v) for k, v in named.items()})
        if name in units:
            raise error("UnitExists", "Unit %s was already loaded or has a fragment file." % name)
        path = slice_path(str(named["Slice"])) + "/" + name
        if "fails" in name:
            return self.job(name, "failed")
        for root in ROOTS:
            os.makedirs(root + path, exist_ok=True)
            for pid in named["PIDs"]:
                with open(root + path + "/cgroup.procs", "w") as file:
                    file.write(str(int(pid)))
        units[name] = path
        return self.job(name, "done")

    @dbus.service.method(MANAGER, in_signature="sba(sv)", out_signature="")
    def SetUnitProperties(self, name, runtime, properties):
        note("SetUnitProperties", name=name, runtime=bool(runtime), properties={str(k): plain(v) for k, v in properties})

    @dbus.service.method(MANAGER, in_signature="ss", out_signature="o")
    def StopUnit(self, name, mode):
        note("StopUnit", name=name, mode=mode)
        if name not in units:
            raise error("NoSuchUnit", "Unit %s not loaded." % name)
        path = units.pop(name)
        for root in ROOTS:
            # What was killed leaves its group a moment later, and v1 tells nobody.
            for attempt in range(200):
                try:
                    with open(root + path + "/cgroup.procs") as file:
                        for pid in file.read().split():
                            os.kill(int(pid), signal.SIGKILL)
                    os.rmdir(root + path)
                    break
                except FileNotFoundError:
                    break
                except OSError as failure:
                    if attempt == 199:
                        note("left", name=name, error=str(failure))
                    time.sleep(0.01)
        return self.job(name, "done")

    @dbus.service.method(MANAGER, in_signature="s", out_signature="")
    def ResetFailedUnit(self, name):
        note("ResetFailedUnit", name=name)
        if name not in units:
            raise error("NoSuchUnit", "Unit %s not loaded." % name)

    @dbus.service.method(MANAGER, in_signature="s", out_signature="o", path_keyword=None)
    def GetUnit(self, name):
        if name not in units:
            raise error("NoSuchUnit", "Unit %s not loaded." % name)
        path = "/org/freedesktop/systemd1/unit/" + "".join(c if c.isalnum() else "_%02x" % ord(c) for c in name)
        for connection, _, _ in list(self.locations):
            if (connection, path) not in Unit.made:
                Unit.made[(connection, path)] = Unit(connection, path, name)
        return dbus.ObjectPath(path)


class Unit(dbus.service.Object):
    made = {}

    def __init__(self, connection, path, name):
        super().__init__(connection, path)
        self.name = name

    @dbus.service.method("org.freedesktop.DBus.Properties", in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        assert (interface, name) == ("org.freedesktop.systemd1.Scope", "ControlGroup"), (interface, name)
        return dbus.String(units[self.name])


def main():
    global log
    loop = dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    log = open(sys.argv[-1], "a")
    if sys.argv[1] == "bus":
        bus = dbus.bus.BusConnection(os.environ["DBUS_SYSTEM_BUS_ADDRESS"], mainloop=loop)
        Manager(bus, "/org/freedesktop/systemd1")
        name = dbus.service.BusName("org.freedesktop.systemd1", bus)
    else:
        managers = []
        server = dbus.server.Server("unix:path=" + sys.argv[2])
        server.on_connection_added.append(lambda c: managers.append(Manager(c, "/org/freedesktop/systemd1")))
    note("ready")
    GLib.MainLoop().run()


main()
