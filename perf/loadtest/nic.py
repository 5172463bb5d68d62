# SPDX-License-Identifier: BSD-3-Clause
"""
The rig `nic`: the generator on real ports, named by PCI address in a rig file. The appliances between them are the operator's,
configured and running; this side knows nothing of them. Devices are bound to a driver for user space while it runs, and given
back afterwards, also by `perf/lab down` if it was killed.
"""
import glob
import json
import os

import jsonschema

from loadtest import rig
from loadtest.generator import BOX, HUGEPAGES_MIB, Generator
from threesites import host, lab, namespace

SCHEMA = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "scenarios/rig.schema.json")
NETWORK_CLASS = "0x02"  # of PCI
FORMER = "/run/pontlevis-nics.json"  # the drivers that devices had, as long as they are not given back


def load(path):
    """A rig file, held against its schema."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError) as error:
        raise host.HostError(f"{path}: {error}") from None
    with open(SCHEMA, encoding="utf-8") as file:
        checker = jsonschema.Draft202012Validator(json.load(file))
    if error := jsonschema.exceptions.best_match(checker.iter_errors(document)):
        raise host.HostError(f"{path}: /{'/'.join(map(str, error.absolute_path))}: {error.message}")
    if document["ports"]["a"] == document["ports"]["b"]:
        raise host.HostError(f"{path}: /ports: a and b are the same device")
    if document.get("tenants", 1) > 1 and "first_vlan" not in document:
        raise host.HostError(f"{path}: /first_vlan: more than one tenant needs VLANs")
    return {"driver": "vfio-pci", "tenants": 1, "first_vlan": None, **document}


class Device:
    """A PCI function, as sysfs shows it."""

    def __init__(self, address, root=""):
        self.address = address
        self.root = root
        self.path = f"{root}/sys/bus/pci/devices/{address}"

    def _read(self, name):
        with open(f"{self.path}/{name}", encoding="ascii") as file:
            return file.read().strip()

    def driver(self):
        link = f"{self.path}/driver"
        return os.path.basename(os.readlink(link)) if os.path.islink(link) else ""

    def interfaces(self):
        return sorted(os.path.basename(path) for path in glob.glob(f"{self.path}/net/*"))

    def refusal(self, driver):
        """Why it cannot be taken, or an empty text."""
        if not os.path.isdir(self.path):
            return "there is no such device"
        if not self._read("class").startswith(NETWORK_CLASS):
            return "it is no network device"
        for interface in self.interfaces():
            if self._read(f"net/{interface}/operstate") == "up":
                return f"its interface {interface} is up: set it down first, if nothing needs it"
        if self.driver() != driver and not os.path.isdir(f"{self.root}/sys/bus/pci/drivers/{driver}"):
            return f"driver {driver} is not loaded: modprobe {driver}"
        return ""

    def _write(self, path, text):
        with open(f"{self.root}/sys/bus/pci/{path}", "w", encoding="ascii") as file:
            file.write(text)

    def bind(self, driver):
        """To a driver by name; empty: to the one that the kernel would choose."""
        now = self.driver()
        self._write(f"devices/{self.address}/driver_override", driver or "\n")
        if now and now != driver:
            self._write(f"drivers/{now}/unbind", self.address)
        if now != driver:
            self._write("drivers_probe", self.address)


def refusals(document, root=""):
    devices = {name: Device(address, root) for name, address in document["ports"].items()}
    return [f"port {name}, {device.address}: {reason}" for name, device in devices.items()
            if (reason := device.refusal(document["driver"]))]


def plan(document, root=""):
    """What a run would do, in words."""
    lines = []
    for name, address in document["ports"].items():
        device = Device(address, root)
        now = device.driver() or "no driver"
        where = ", ".join([now, *device.interfaces()])
        lines.append(f"port {name}: {address} ({where}) " + (
            "stays as it is" if now == document["driver"] else f"would be bound to {document['driver']}, and back afterwards"))
    lines.append(f"generator: main and control on processor {document['processors'][0]}, traffic on "
                 + ", ".join(map(str, document["processors"][1:3])))
    lines.append(f"tenants: {document['tenants']}, "
                 + (f"VLANs from {document['first_vlan']} on" if document["first_vlan"] else "untagged") + "; "
                 f"{HUGEPAGES_MIB // 2 + lab.HUGEPAGES_SPARE} hugepages of 2 MiB")
    return lines


def take(document, root="", former=FORMER):
    """Binds the devices; what they were bound to is written down first."""
    devices = [Device(address, root) for address in document["ports"].values()]
    with open(former, "w", encoding="utf-8") as file:
        json.dump({device.address: device.driver() for device in devices}, file)
    for device in devices:
        device.bind(document["driver"])


def give_back(root="", former=FORMER):
    """Undoes take(), if there is something to undo."""
    try:
        with open(former, encoding="utf-8") as file:
            drivers = json.load(file)
    except FileNotFoundError:
        return
    for address, driver in drivers.items():
        if driver != Device(address, root).driver():
            Device(address, root).bind("")
    os.unlink(former)


class NicRig:
    """In the place of a rig with sites: run.py asks for no more than this."""

    name = "nic"
    description = "the generator on real ports, with the operator's appliances between them"
    cuts = ()

    def __init__(self, programs, document):
        self.programs = programs
        self.document = document
        self.shape = rig.Shape(tenants=document["tenants"])
        self.generator = None

    def __iter__(self):
        return iter(())

    def prepare(self):
        if reasons := refusals(self.document):
            raise host.HostError("; ".join(reasons))
        host.hugepages_borrow(lab.BORROWER, HUGEPAGES_MIB // 2 + lab.HUGEPAGES_SPARE)
        os.makedirs(lab.RUN, mode=0o700, exist_ok=True)
        namespace.create(BOX)
        take(self.document)

    def bring_up(self, _change=None):
        ports, processors = self.document["ports"], self.document["processors"]
        self.generator = Generator(f"{self.programs.build}/perf/pontlevis-loadgen", f"{lab.RUN}/loadgen.log", ports, [("a", "b"), ("b", "a")],
                                   self.document["tenants"], self.document["first_vlan"], processors, pci=ports.values()).ready()

    def placement(self):
        return {"generator": self.document["processors"]}

    def named_drops(self):
        """Known to the appliances alone."""
        return {}

    def close(self):
        if self.generator:
            self.generator.stop()
            self.generator = None
        give_back()
