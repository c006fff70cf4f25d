# SPDX-License-Identifier: BSD-3-Clause
"""The guest's first files: an initramfs, made anew for every run, in memory.

It holds busybox, `init`, the modules without which no further file can be reached, and under /request
what this run is about. Everything else the guest finds on the file system of this machine.
"""
import os
import stat

APPLETS = ("sh", "cp", "insmod", "ln", "mkdir", "mount", "switch_root")
MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
FOLDERS = ("bin", "dev", "lower", "modules", "new", "proc", "ram", "request")


class Archive:
    """A cpio archive of the form `newc`, which the kernel unpacks."""

    def __init__(self):
        self.parts = []
        self.count = 0

    def add(self, name, data=b"", mode=stat.S_IFREG | 0o755):
        self.count += 1
        fields = (self.count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        self.parts += [padded(head), padded(data)]

    def add_file(self, name, path):
        with open(path, "rb") as file:
            self.add(name, file.read())

    def end(self):
        self.add("TRAILER!!!", mode=0)
        return b"".join(self.parts)


def padded(data):
    return data + b"\0" * (-len(data) % 4)


def initramfs(guest, version, init, request):
    """guest: the cache's folder of that name; request: {name: bytes}, the files of /request."""
    archive = Archive()
    for name in FOLDERS:
        archive.add(name, mode=stat.S_IFDIR | 0o755)
    archive.add_file("init", init)
    archive.add_file("bin/busybox", os.path.join(guest, "busybox"))
    for name in APPLETS:
        archive.add(f"bin/{name}", b"busybox", stat.S_IFLNK | 0o777)
    for name, data in request.items():
        archive.add(f"request/{name}", data)
    folder = os.path.join(guest, "lib", "modules", version)
    order = loading_order(folder, MODULES)
    for path in order:
        archive.add_file(f"modules/{os.path.basename(path)}", os.path.join(folder, path))
    archive.add("modules/order", "".join(os.path.basename(path) + "\n" for path in order).encode())
    return archive.end()


def loading_order(folder, names):
    """Paths of the modules, each behind those it needs. What is built into the kernel is left out."""
    needs = {}
    with open(os.path.join(folder, "modules.dep"), encoding="utf-8") as file:
        for line in file:
            path, _, others = line.partition(":")
            needs[module_name(path)] = [*reversed(others.split()), path]
    order = []
    for name in names:
        order += [path for path in needs.get(module_name(name), ()) if path not in order]
    return order


def module_name(path):
    return os.path.basename(path).partition(".")[0].replace("-", "_")
