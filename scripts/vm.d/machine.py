#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs a command in a virtual machine. To be started by scripts/vm, which installs what this needs.

What the guest is to do stands in its initramfs, which lies in memory; what it says comes through sockets.
So there is no file to clean up, and one process, QEMU, which the kernel ends should we be killed.
"""
import collections
import os
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import termios
import time

import archive
import qemu
from cables import Cables
from options import FAILED, TIME_LIMIT, arguments

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
BOOT_SECONDS = 300  # an idle machine needs five
CONSOLE_LINES = 30  # so many of the last are shown of a guest that failed


def say(text):
    print(f"vm: {text}", file=sys.stderr, flush=True)


# What the guest boots from, and what it is to do


def fill_cache(with_siw):
    """(its folder with kernel, modules and busybox, the kernel's version); made when it is not there."""
    cache = os.environ.get("SYNCHROTRON_VM_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "synchrotron-vm")
    cache = os.path.realpath(cache)
    guest = os.path.join(cache, "guest")
    if not kernel_version(guest) or with_siw and not os.path.exists(siw(guest)):
        done = subprocess.run([os.path.join(HERE, "cache"), cache, *(["siw"] if with_siw else [])], check=False)
        if done.returncode != 0:
            sys.exit(FAILED)
    return guest, kernel_version(guest)


def kernel_version(guest):
    try:
        with open(os.path.join(guest, "version"), encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


def siw(guest):
    return os.path.join(guest, "lib", "modules", kernel_version(guest), "extra", "siw.ko")


def request(chosen, guest, version, mark):
    """The files of /request, for `init` and `guest`."""
    size = os.get_terminal_size(0) if chosen.shell else None
    settings = {
        "VERSION": version, "MODULES": os.path.join(guest, "lib", "modules", version),
        "PROJECT": PROJECT, "GUEST": os.path.join(HERE, "guest"), "FOLDER": os.getcwd(), "MARK": mark,
        "HUGEPAGES": chosen.hugepages, "DEVICES": chosen.devices, "DRIVER": chosen.driver,
        "NICS": chosen.nics, "NIC_DRIVER": "vfio-pci" if chosen.iommu else "uio_pci_generic",
        "TERMINAL": f"{size.lines} {size.columns}" if size else "",
        "MERGED": "yes" if os.path.sameopenfile(1, 2) else "",
    }
    return {
        "settings": os.fsencode("".join(f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items())),
        "words": strings(map(os.fsencode, chosen.command)),
        "environment": strings(name + b"=" + value for name, value in os.environb.items()),
    }


def strings(items):
    return b"".join(item + b"\0" for item in items)


# What comes out of it. Each of these takes the bytes of one socket as they come.


class Lines:
    def __init__(self, take_line):
        self.take_line = take_line
        self.rest = b""

    def take(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.take_line(line.decode(errors="replace").rstrip("\r"))


class Output:
    """Passed on at once, but for what may be the beginning of the mark that ends it."""

    def __init__(self, to, mark):
        self.to = to
        self.mark = mark.encode()
        self.kept = b""
        self.ended = False

    def take(self, data):
        data = self.kept + data
        at = data.find(self.mark)
        self.ended = at >= 0
        if not self.ended:
            at = data.rfind(self.mark[:1], -len(self.mark) + 1)
            if at < 0 or not self.mark.startswith(data[at:]):
                at = len(data)
        self.kept = data[at:]
        while at > 0:
            count = os.write(self.to, data[:at])
            data, at = data[count:], at - count


class Machine:
    """QEMU from its start to its end."""

    def __init__(self, chosen, guest, version):
        mark = "\x01" + os.urandom(16).hex()
        self.limit = chosen.limit
        self.verbose = chosen.verbose
        self.ready = False
        self.verdict = None  # what the guest said last
        self.console = collections.deque(maxlen=CONSOLE_LINES)
        self.outputs = [] if chosen.shell else [Output(1, mark), Output(2, mark)]
        self.selector = selectors.DefaultSelector()
        files = {"initramfs": os.memfd_create("initramfs")}
        with open(files["initramfs"], "wb", closefd=False) as file:
            file.write(archive.initramfs(guest, version, os.path.join(HERE, "init"),
                                         request(chosen, guest, version, mark)))
        cables = Cables()
        takers = {
            "control": Lines(self.take_verdict).take, "console": Lines(self.take_console).take,
            "qemu": Lines(self.take_console).take, "cables": Lines(cables.take_wish).take,
            "monitor": Lines(cables.take_answer).take,
            **dict(zip(("out", "err"), (output.take for output in self.outputs or [Output(2, mark)] * 2))),
        }
        ours = {}
        for name, take in takers.items():
            ours[name], files[name] = self.connect(take)
        cables.connect(guest=ours["cables"], monitor=ours["monitor"])
        words = qemu.command(chosen, PROJECT, os.path.join(guest, "vmlinux"), files)
        if self.verbose:
            say(shlex.join(words))
        self.process = subprocess.Popen(
            words, stdin=None if chosen.shell else subprocess.DEVNULL, stderr=files["qemu"],
            stdout=None if chosen.shell else files["qemu"], pass_fds=files.values(), start_new_session=True)
        for descriptor in files.values():
            os.close(descriptor)

    def connect(self, take):
        ours, theirs = socket.socketpair()
        self.selector.register(ours, selectors.EVENT_READ, take)
        return ours, theirs.detach()

    def take_verdict(self, line):
        if line == "ready":
            self.ready = True
        else:
            self.verdict = line

    def take_console(self, line):
        self.console.append(line)
        if self.verbose:
            print(line, file=sys.stderr, flush=True)

    def run(self):
        """Until the command has ended, or its time, or QEMU. The exit status."""
        deadline = time.monotonic() + BOOT_SECONDS
        waiting = True
        while self.selector.get_map() and not self.is_over():
            if waiting and self.ready:
                waiting = False
                deadline = time.monotonic() + self.limit
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self.take(min(left, 3600))
        return self.status(waiting)

    def is_over(self):
        """What the command printed may arrive behind the news of its end."""
        return self.verdict is not None and (
            not self.verdict.startswith("exit") or all(output.ended for output in self.outputs))

    def take(self, seconds):
        for key, _ in self.selector.select(seconds):
            data = key.fileobj.recv(1 << 16)
            if data:
                key.data(data)
            else:
                self.selector.unregister(key.fileobj)
                key.fileobj.close()

    def status(self, waiting):
        how, _, rest = (self.verdict or "").partition(" ")
        if how == "exit":
            return int(rest)
        if how == "failed":
            say(f"the guest failed: {rest}")
        elif not self.selector.get_map():
            say(f"the guest failed: it ended, QEMU with status {self.process.wait()}")
        elif waiting:
            say(f"the guest failed: it was not ready after {BOOT_SECONDS} s")
        else:
            say(f"the time limit of {self.limit} s ended the command; --limit SECONDS gives it more")
            return TIME_LIMIT
        for line in self.console:
            print(f"  {line}", file=sys.stderr)
        return FAILED

    def end(self):
        self.process.kill()
        self.process.wait()


def exit_by(number, _frame):
    sys.exit(128 + number)


def main():
    chosen = arguments(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, exit_by)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody reads the output any more: then we end, and QEMU
    guest, version = fill_cache(chosen.driver == "siw")
    if chosen.prepare:
        say(f"machines with the kernel {version} can be started, from {guest}")
        return 0
    terminal = termios.tcgetattr(0) if chosen.shell else None
    machine = Machine(chosen, guest, version)
    try:
        return machine.run()
    finally:
        machine.end()
        if terminal:
            termios.tcsetattr(0, termios.TCSADRAIN, terminal)


if __name__ == "__main__":
    sys.exit(main())
