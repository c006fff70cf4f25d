# SPDX-License-Identifier: BSD-3-Clause
"""The words behind scripts/vm: what machine is wanted, and for which command."""
import argparse
import os

TIME_LIMIT, FAILED, USAGE = 124, 125, 2  # exit statuses that are not the command's
EPILOG = f"""The exit status is that of COMMAND; {TIME_LIMIT}: its time was over; {FAILED}: the machine failed;
{USAGE}: wrong usage. docs/vm.md says more."""


def arguments(words):
    parser = argparse.ArgumentParser(
        prog="scripts/vm", usage="scripts/vm [options] -- COMMAND...", epilog=EPILOG,
        description="Run COMMAND as root in a small virtual machine over the files of this one. The folder of "
                    "the project can be written; what is written elsewhere is gone at the end.")
    add = parser.add_argument
    add("--limit", type=at_least(1), metavar="SECONDS", help="end COMMAND after this long (600; a shell: never)")
    add("--devices", type=between(0, 9), default=3, metavar="N", help="RDMA devices: rxe0, rxe1, ... (3)")
    add("--driver", choices=("rxe", "siw"), default="rxe",
        help="of the RDMA devices: soft-RoCE (default), or soft-iWARP, which is built the first time")
    add("--nics", type=between(0, 9), default=0, metavar="N",
        help="PCI network cards, on one hub, for programs that drive them themselves (0)")
    add("--nic-model", choices=("e1000e", "virtio-net-pci"), default="e1000e", help="of the cards (e1000e)")
    add("--iommu", action="store_true", help="an IOMMU; the cards are then with vfio-pci, not uio_pci_generic")
    add("--hugepages", type=at_least(0), default=256, metavar="N", help="pages of 2 MiB (256)")
    add("--memory", type=at_least(256), default=3072, metavar="MIB", help="of the machine (3072)")
    add("--cpus", type=between(1, 64), default=min(os.cpu_count() or 1, 64), metavar="N",
        help="of the machine (as many as here)")
    add("--numa", type=between(1, 8), default=1, metavar="N", help="NUMA nodes that memory and cpus are shared by (1)")
    add("--accel", choices=("kvm", "tcg"), default="kvm" if kvm_is_usable() else "tcg",
        help="the processor's virtualisation, or emulation (the first where it can be had)")
    add("--shell", action="store_true", help="bash on this terminal in place of COMMAND")
    add("--prepare", action="store_true", help="only fetch and build what machines boot from")
    add("--verbose", action="store_true", help="show what QEMU is started with, and the kernel's console")
    ours, command = split(words)
    chosen, other = parser.parse_known_args(ours)
    if other:
        parser.error(f"there is no option {other[0]}; the command goes behind --")
    if bool(command) + chosen.shell + chosen.prepare != 1:
        parser.error("one of these is wanted: -- COMMAND..., --shell, --prepare")
    if chosen.shell and not os.isatty(0):
        parser.error("--shell needs a terminal")
    if chosen.numa > chosen.cpus:
        parser.error("a NUMA node has a cpu at least: --cpus gives it more")
    chosen.command = command or ["/bin/bash", "-i"]
    chosen.limit = chosen.limit or (float("inf") if chosen.shell else 600)
    return chosen


def split(words):
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1:]


def between(least, most):
    def number(text):
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not between {least} and {most}")
        return value
    return number


def at_least(least):
    return between(least, 2 ** 31 - 1)


def kvm_is_usable():
    """/dev/kvm may be there where the processor shows no virtualisation: no kernel boots with it then."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = set(file.read().split())
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and bool(flags & {"vmx", "svm"})
