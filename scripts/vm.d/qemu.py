# SPDX-License-Identifier: BSD-3-Clause
"""The machine in the words of QEMU."""
import ctypes
import mmap
import time

PORTS = ("control", "out", "err", "cables")  # of the guest, each a socket of ours
KERNEL = ("console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr audit=0 apparmor=0 init_on_alloc=0 "
          "tsc=reliable no_timer_check rcupdate.rcu_expedited=1")


def command(chosen, project, vmlinux, files):
    """files: descriptors of the initramfs, the console, the monitor and the PORTS, by name."""
    words = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-name", "synchrotron-vm",
             "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
             "-smp", str(chosen.cpus), "-m", str(chosen.memory // chosen.numa * chosen.numa), *processor(chosen), *numa(chosen),
             "-kernel", vmlinux, "-initrd", f"/dev/fd/{files['initramfs']}",
             "-append", kernel(chosen),
             "-chardev", f"socket,id=console,fd={files['console']}", "-serial", "chardev:console",
             "-chardev", f"socket,id=monitor,fd={files['monitor']}", "-mon", "chardev=monitor,mode=control",
             *folder("root", "/", ",readonly=on"), *folder("project", project),
             "-device", "virtio-serial-pci"]
    for name in PORTS:
        words += ["-chardev", f"socket,id={name},fd={files[name]}",
                  "-device", f"virtserialport,chardev={name},name={name}"]
    if chosen.shell:
        words += ["-chardev", "stdio,id=terminal,signal=off", "-device", "virtconsole,chardev=terminal"]
    return words + cards(chosen)


def kernel(chosen):
    words = KERNEL
    if chosen.iommu:
        words += " intel_iommu=on iommu=pt"
    if chosen.accel == "tcg":
        words += f" tsc_early_khz={tsc_khz()}"
    return words


def tsc_khz(seconds=0.1):
    """How fast the time stamp counter runs, which an emulated guest shares with us. Measuring it there goes
    wrong on a busy machine, and all its clocks with it. Of several readings the least disturbed counts."""
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))  # rdtsc; shl rdx, 32; or rax, rdx; ret
        place = ctypes.c_char.from_buffer(page)
        rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(place))

        def reading():
            """(how long it took, nanoseconds, ticks)"""
            before = time.monotonic_ns()
            ticks = rdtsc()
            after = time.monotonic_ns()
            return after - before, (before + after) / 2, ticks
        first = min(reading() for _ in range(20))
        time.sleep(seconds)
        last = min(reading() for _ in range(20))
        del rdtsc, place
    return round((last[2] - first[2]) * 1e6 / (last[1] - first[1]))


def processor(chosen):
    if chosen.accel == "kvm":
        return ["-machine", "q35,kernel-irqchip=split", "-accel", "kvm", "-cpu", "host"]
    return ["-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"]


def numa(chosen):
    words = []
    for i in range(chosen.numa if chosen.numa > 1 else 0):
        first, end = (chosen.cpus * k // chosen.numa for k in (i, i + 1))
        words += ["-object", f"memory-backend-ram,id=ram{i},size={chosen.memory // chosen.numa}M",
                  "-numa", f"node,nodeid={i},cpus={first}-{end - 1},memdev=ram{i}"]
    return words


def folder(tag, path, more=""):
    path = path.replace(",", ",,")
    return ["-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap{more}",
            "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


def cards(chosen):
    """No card has a boot ROM: QEMU's are in a package of their own."""
    model = chosen.nic_model + ",romfile="
    if chosen.iommu and chosen.nic_model.startswith("virtio"):
        model += ",iommu_platform=on,disable-legacy=on"
    words = ["-device", "intel-iommu,intremap=on,caching-mode=on,aw-bits=48"] if chosen.iommu else []
    for i in range(chosen.nics):
        words += ["-netdev", f"hubport,id=nic{i},hubid=0",
                  "-device", f"{model},netdev=nic{i},mac=02:00:00:78:00:{i + 1:02x}"]
    return words
