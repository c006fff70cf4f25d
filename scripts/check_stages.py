#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The stages of scripts/check: what is built and run, and how results are counted.

Every stage runs what meson or pytest knows of; nothing is listed twice. Results are counted one
Criterion test, one pytest test, one fuzz target at a time. Tests get a temporary folder of their
own, which is removed with what is in it; a process left behind is ended and counts as a failure.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CPUS = os.cpu_count() or 1
PARALLEL = min(CPUS, 2)
FUZZ_SECONDS = 60
SYSTEM_SECONDS = 3000
VM_FETCH_SECONDS = 1800
SIM_SEEDS = 500
SIM_SECONDS = 3000
DPDK_PORTS = ("memif", "af_packet", "af_xdp")
SHORT = {"SYNCHROTRON_RACE_SECONDS": "5", "SYNCHROTRON_TEST_KILLS": "100"}
COVERED = (r"ring/", r"daemon/(groups|groups_query|gwire|sync|views)\.")
COVERAGE_LEAST = {"line": 95, "branch": 85}
THOROUGH = "SYNCHROTRON_CHECK_THOROUGH"
ENDING_SECONDS = 10  # what a process that was told to end may need to be gone


class Tally:
    """Results of one stage, or of all."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []  # (name, what it said)
        self.skips = []     # (name, why)

    def ok(self):
        self.passed += 1

    def fail(self, name, said=""):
        self.failed += 1
        self.failures.append((name, said))

    def skip(self, name, why):
        self.skipped += 1
        self.skips.append((name, why))

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures
        self.skips += other.skips

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run(command, seconds, env=None, cwd=ROOT):
    """Run in a process group of its own, which does not outlive this call. (status, output)."""
    try:
        process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **(env or {})},
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)
    except OSError as error:
        return 127, str(error)
    try:
        output, _ = process.communicate(timeout=seconds)
        status = process.returncode
    except subprocess.TimeoutExpired:
        output = end_group(process) + f"\nno end after {seconds} s".encode()
        status = -signal.SIGKILL
    except KeyboardInterrupt:
        end_group(process)
        raise
    finally:
        signal_group(process.pid, signal.SIGKILL)
        remove(f"/tmp/criterion_{process.pid}.sock")  # Criterion's own, when it was killed
    return status, output.decode(errors="replace")


def end_group(process):
    """Tests that are interrupted may clean up; what it said until then."""
    signal_group(process.pid, signal.SIGINT)
    try:
        return process.communicate(timeout=ENDING_SECONDS)[0]
    except subprocess.TimeoutExpired:
        signal_group(process.pid, signal.SIGKILL)
        return process.communicate()[0]


def signal_group(pid, number):
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass


def remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def in_parallel(tally, items, function):
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        jobs = [pool.submit(function, item) for item in items]
        try:
            for job in jobs:
                tally.add(job.result())
        except KeyboardInterrupt:
            for pid in children():
                signal_group(pid, signal.SIGINT)
            pool.shutdown(cancel_futures=True)
            raise


def tail(text, lines=60):
    return "\n".join(text.rstrip().splitlines()[-lines:])


# Building


class BuildFailed(Exception):
    pass


def build(folder, options, targets=(), env=None):
    path = os.path.join(ROOT, folder)
    if not configured_here(path):
        shutil.rmtree(path, ignore_errors=True)
        must(["meson", "setup", path, ROOT, *options], env)
    must(["ninja", "-C", path, "-j", str(CPUS), *targets], env)
    return path


def configured_here(path):
    """A folder that was copied from elsewhere, or not configured to the end, is made anew."""
    try:
        with open(os.path.join(path, "meson-info", "meson-info.json"), encoding="utf-8") as file:
            source = json.load(file)["directories"]["source"]
    except (OSError, ValueError, KeyError):
        return False
    return source == ROOT and os.path.exists(os.path.join(path, "build.ninja"))


def must(command, env=None):
    status, output = run(command, 1800, env)
    if status != 0:
        raise BuildFailed(tail(output))


def introspect(path, what):
    done = subprocess.run(["meson", "introspect", f"--{what}", path], check=True,
                          stdin=subprocess.DEVNULL, capture_output=True)
    return json.loads(done.stdout)


# Meson's tests: Criterion executables, and scripts that speak TAP


def meson_tests(path, tally, temporary, wanted, slower=1, env=None):
    tests = [test for test in introspect(path, "tests") if wanted(test)]
    tests.sort(key=lambda test: -test["timeout"])
    together = [test for test in tests if test["is_parallel"]]
    alone = [test for test in tests if not test["is_parallel"]]
    how = {"path": path, "temporary": temporary, "slower": slower, "env": env or {}}
    in_parallel(tally, together, lambda test: meson_test(test, **how))
    for test in alone:
        tally.add(meson_test(test, **how))


def meson_test(test, path, temporary, slower, env):
    """As meson runs it, with a result for each test inside."""
    tally = Tally()
    name = test["name"]
    report = os.path.join(temporary, re.sub(r"\W", "_", name) + ".tap")
    seconds = test["timeout"] * slower if test["timeout"] > 0 else None
    status, output = run(test["cmd"], seconds, cwd=test["workdir"] or path,
                         env={**test["env"], **env, "CRITERION_OUTPUTS": f"tap:{report}"})
    lines = ""
    if test["protocol"] == "tap":
        lines = output
    elif os.path.exists(report):
        with open(report, encoding="utf-8", errors="replace") as file:
            lines = file.read()
        remove(report)
    count_tap(tally, name, lines, output)
    if status in (77,) and not tally.failed:
        tally.skip(name, tail(output, 1))
    elif status != 0 and not tally.failed:
        tally.fail(name, f"{tail(output)}\nexit status {status}")
    elif status == 0 and tally.passed + tally.failed + tally.skipped == 0:
        tally.ok()  # a program that only exits with 0
    return tally


def count_tap(tally, name, lines, output):
    for verdict, what in re.findall(r"^(ok|not ok)\b(.*)$", lines, re.MULTILINE):
        what = re.sub(r"^[\s\d]*-?\s*", "", what)
        test, _, directive = what.partition("#")
        test = f"{name}: {re.sub(r'[(][0-9.]+s[)]', '', test).strip()}"
        if directive.strip().upper().startswith("SKIP"):
            tally.skip(test, directive.strip()[4:].strip())
        elif verdict == "ok":
            tally.ok()
        else:
            tally.fail(test, "" if tally.failed else tail(output))


# The stages


def is_of(test, *rooms):
    return any(suite.split(":")[-1] in rooms for suite in test["suite"])


def is_house(test):
    return is_of(test, "house")


def is_model(test):
    return is_of(test, "model")


def is_unit(test):
    return not is_of(test, "house", "model")


def stage_house(tally, temporary):
    meson_tests(os.path.join(ROOT, "build"), tally, temporary, is_house)


def stage_unit(tally, temporary):
    meson_tests(os.path.join(ROOT, "build"), tally, temporary, is_unit)


def stage_model(tally, temporary):
    meson_tests(os.path.join(ROOT, "build"), tally, temporary, is_model)


def stage_sim(tally, temporary):
    """What a seed means is the same everywhere: so are these, every time."""
    path = os.path.join(ROOT, "build")
    swarm = os.path.join(path, "tests/sim/swarm")
    status, output = run([swarm, "--seeds", str(SIM_SEEDS)], SIM_SECONDS)
    if status == 0:
        tally.ok()
    else:
        tally.fail(f"sim: {SIM_SEEDS} seeds", tail(output, 200))
    if THOROUGH not in os.environ:
        return
    must(["ninja", "-C", path, "-j", str(CPUS), "planted"])
    _, output = run([swarm, "--planted"], SIM_SECONDS)
    verdicts = re.findall(r"^(caught|MISSED) +(.*)$", output, re.MULTILINE)
    if not re.search(r"^\d+ of \d+ planted bugs caught", output, re.MULTILINE):
        tally.fail("sim: planted bugs: not all of them were run", tail(output))
    for verdict, bug in verdicts:
        if verdict == "caught":
            tally.ok()
        else:
            tally.fail(f"sim: planted bug {bug}")


def stage_coverage(tally, temporary):
    """Units and swarm together must run nearly all of the ring and the groups."""
    path = build("build-coverage", ["-Db_coverage=true", "-Dbuildtype=debug"])
    for file in glob.glob(os.path.join(path, "**", "*.gcda"), recursive=True):
        remove(file)
    meson_tests(path, tally, temporary, runs_the_ring, slower=4)
    run([os.path.join(path, "tests/sim/swarm"), "--seeds", str(SIM_SEEDS), "--shrink", "0"], SIM_SECONDS)
    status, output = run(["gcovr", "--root", ROOT, path, "--json-summary", "--exclude-unreachable-branches",
                          "--exclude-branches-by-pattern", ".*INVARIANT.*",
                          *(word for part in COVERED for word in ("--filter", os.path.join(ROOT, part)))], 600)
    if status != 0:
        tally.fail("coverage: gcovr", tail(output))
        return
    summary = json.loads(output[output.index("{"):])
    for what, least in COVERAGE_LEAST.items():
        reached = summary[f"{what}_percent"]
        print(f"  {what}s of ring and groups run: {reached:.1f} % "
              f"({summary[f'{what}_covered']} of {summary[f'{what}_total']})")
        if reached < least:
            tally.fail(f"coverage: {what}s", f"{reached:.1f} %, not {least}")
        else:
            tally.ok()


def runs_the_ring(test):
    return is_of(test, "ring", "daemon", "sim", "zcb")


def stage_system(tally, temporary):
    pytest(os.path.join(ROOT, "build"), tally, temporary)


def stage_vm(tally, temporary):
    """Skipped where no virtual machine can be had, as long as somebody is there to read why."""
    status, output = run([os.path.join(ROOT, "scripts", "vm"), "--prepare"], VM_FETCH_SECONDS)
    if status == 0:
        pytest(os.path.join(ROOT, "build"), tally, temporary, room="vm")
    elif os.environ.get("CI") == "true":
        tally.fail("tests/vm: there is no virtual machine", tail(output))
    else:
        tally.skip("tests/vm", f"there is no virtual machine: {tail(output, 2)}")


def stage_asan(tally, temporary):
    suppressions = os.path.join(ROOT, "scripts", "lsan.supp")
    sanitized("build-asan", "address,undefined", tally, temporary, slower=4, env={
        "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
        "LSAN_OPTIONS": f"suppressions={suppressions}:print_suppressions=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})


def stage_tsan(tally, temporary):
    sanitized("build-tsan", "thread", tally, temporary, slower=8, env={
        "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"}, wanted=may_have_threads)


def may_have_threads(test):
    """The ring and the simulator have none, and are slow under a sanitizer that looks for races."""
    return is_unit(test) and (THOROUGH in os.environ or not is_of(test, "ring", "sim"))


def sanitized(folder, sanitizers, tally, temporary, slower, env, wanted=is_unit):
    path = build(folder, [f"-Db_sanitize={sanitizers}", "-Dbuildtype=debugoptimized"])
    meson_tests(path, tally, temporary, wanted, slower, env)
    env = {**env, "SYNCHROTRON_TEST_LIMIT": str(60 * slower)}
    pytest(path, tally, temporary, env, "test_*.py" if THOROUGH in os.environ else "test_c_*.py")


def stage_dpdk(tally, temporary):
    """The system tests that are marked `dpdk`, on each port that takes no card."""
    path = os.path.join(ROOT, "build")
    if not any(target["name"] == "transport_dpdk" for target in introspect(path, "targets")):
        why = "built without DPDK (Debian: apt-get install libdpdk-dev, then meson setup --reconfigure build)"
        if os.environ.get("CI") == "true":
            tally.fail("tests/system on DPDK", why)
        else:
            tally.skip("tests/system on DPDK", why)
        return
    for port in DPDK_PORTS:  # one after the other: a cluster under load fills two processors by itself
        env = {"SYNCHROTRON_TEST_PORT": port, **SHORT}
        pytest(path, tally, temporary, env, marked="dpdk", prefix=f"{port}: ")


def pytest(path, tally, temporary, env=None, which="test_*.py", room="system", marked=None, prefix=""):
    files = sorted(glob.glob(os.path.join(ROOT, "tests", room, which)))
    report = os.path.join(temporary, f"{room}{re.sub(r'[^a-z_]', '', prefix)}.xml")
    command = ["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider",
               f"--junitxml={report}", *(["-m", marked] if marked else []), *files]
    status, output = run(command, SYSTEM_SECONDS, {**(env or {}), "SYNCHROTRON_BUILD": path})
    if not os.path.exists(report):
        tally.fail(f"{prefix}tests/{room}", tail(output))
        return
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        count_case(tally, case, prefix)
    if status != 0 and not tally.failed:
        tally.fail(f"{prefix}tests/{room}", tail(output))


def count_case(tally, case, prefix=""):
    name = f"{prefix}{case.get('classname')}: {case.get('name')}"
    wrong = [child for child in case if child.tag in ("failure", "error")]
    skipped = case.find("skipped")
    if wrong:
        tally.fail(name, tail(wrong[0].text or ""))
    elif skipped is not None:
        tally.skip(name, skipped.get("message"))
    else:
        tally.ok()


def stage_fuzz(tally, temporary):
    options = ["-Dfuzz=true", "-Dbuildtype=debugoptimized"]
    clang = {"CC": "clang"}
    path = build("build-fuzz", options, ["build.ninja"], clang)
    targets = [file for target in introspect(path, "targets") for file in target["filename"]
               if target["type"] == "executable" and file.endswith("_fuzz")]
    if not targets:
        tally.skip("tests/fuzz", "the build has no fuzz targets")
        return
    build("build-fuzz", options, [os.path.relpath(file, path) for file in targets], clang)
    in_parallel(tally, targets, lambda file: fuzz_target(file, temporary))


def fuzz_target(file, temporary):
    """The corpus of the tree is read; what a run finds goes to the temporary folder."""
    tally = Tally()
    name = os.path.basename(file)
    found = os.path.join(temporary, name)
    os.makedirs(found)
    seeds = os.path.join(ROOT, "tests", "fuzz", "corpus", name.removesuffix("_fuzz"))
    command = [file, f"-max_total_time={FUZZ_SECONDS}", f"-artifact_prefix={found}/", found]
    status, output = run(command + ([seeds] if os.path.isdir(seeds) else []), FUZZ_SECONDS + 120)
    if status == 0:
        tally.ok()
    else:
        tally.fail(f"fuzz: {name}", tail(output))
    return tally


STAGES = {
    "house": (stage_house, "architecture and form of the sources"),
    "unit": (stage_unit, "units, and the demo; release build"),
    "model": (stage_model, "the membership protocol, modelled, searched by spin"),
    "sim": (stage_sim, f"{SIM_SEEDS} seeds of whole daemons in virtual time; thorough: planted bugs, too"),
    "system": (stage_system, "real daemons and clients, in network namespaces; release build"),
    "dpdk": (stage_dpdk, f"some of these on DPDK's ports {', '.join(DPDK_PORTS)}; release build"),
    "asan": (stage_asan, "units and C clients of daemons, address and undefined-behaviour sanitizers"),
    "tsan": (stage_tsan, "units that may have threads and C clients of daemons, thread sanitizer"),
    "fuzz": (stage_fuzz, f"every fuzz target for {FUZZ_SECONDS} s"),
    "vm": (stage_vm, "scripts/vm, and real daemons in its machine; only when asked for"),
    "coverage": (stage_coverage, "how much of ring and groups is run; only when asked for"),
}
QUICK = ("house", "unit")
ASKED = ("coverage", "vm")
BESIDE = ("vm",)  # runs while others do: an emulated machine takes one processor, and they mostly wait


# Running them


def arguments():
    stages = "\n".join(f"  {name:10}{about}" for name, (_, about) in STAGES.items())
    parser = argparse.ArgumentParser(
        prog="scripts/check", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Build and test Synchrotron.", epilog=f"stages:\n{stages}")
    parser.add_argument("--quick", action="store_true", help="only " + " and ".join(QUICK))
    parser.add_argument("--only", action="append", choices=STAGES, metavar="STAGE",
                        help="only this stage; may be given several times")
    parser.add_argument("--thorough", action="store_true",
                        help="the sanitizers see all of the system tests, not only those whose "
                             "clients are C programs: an hour more")
    parser.add_argument("--coverage", action="append_const", dest="only", const="coverage",
                        help="only how much of ring and groups units and swarm run")
    parser.add_argument("--vm", action="append_const", dest="only", const="vm",
                        help="only what needs a virtual machine, which is fetched the first time")
    parser.add_argument("--with-vm", action="store_true", help="everything, and what needs a virtual machine beside it")
    parser.add_argument("--list", action="store_true", help="name the stages and stop")
    return parser.parse_args()


def run_stage(name):
    tally = Tally()
    start = time.monotonic()
    temporary = tempfile.mkdtemp(prefix="check-")
    os.chmod(temporary, 0o711)  # some tests are run by other users
    os.environ["TMPDIR"] = temporary
    try:
        STAGES[name][0](tally, temporary)
    except BuildFailed as failed:
        tally.fail(f"{name}: the build", str(failed))
    finally:
        for command in sweep_processes(temporary):
            tally.fail(f"{name}: left a process behind: {command}")
        shutil.rmtree(temporary, ignore_errors=True)
    for why in dict.fromkeys(why for _, why in tally.skips):
        print(f"  skipped   {why or 'no reason given'}:")
        print("".join(f"              {test}\n" for test, its in tally.skips if its == why), end="")
    for test, said in tally.failures:
        print(f"  FAILED    {test}")
        if said:
            print("    " + said.replace("\n", "\n    "))
    print(f"{name:12}{tally}  {time.monotonic() - start:.0f} s", flush=True)
    return tally


class Beside:
    """A stage in a process of its own, which gets what the others leave of the processors."""

    def __init__(self, name):
        self.name = name
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen([sys.executable, "-B", os.path.abspath(__file__), "--only", name],
                                        stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        try:
            with open(f"/proc/{self.process.pid}/autogroup", "w", encoding="ascii") as file:
                file.write("10")  # nice: of all that is in its session
        except OSError:
            pass  # a kernel that has none

    def finish(self):
        status = self.process.wait()
        self.output.seek(0)
        said = self.output.read().decode(errors="replace").rstrip()
        *lines, last = said.splitlines() or [""]
        print("\n".join(lines), flush=True)
        tally = Tally()
        counted = re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) skipped", last)
        if not counted or (status != 0) != (int(counted[2]) > 0):
            tally.fail(f"{self.name}: exit status {status}: {last}")
        else:
            tally.passed, tally.failed, tally.skipped = map(int, counted.groups())
        return tally

    def stop(self):
        signal_group(self.process.pid, signal.SIGINT)
        self.process.wait()


def sweep_processes(temporary):
    """What a test started lives in the stage's temporary folder: end it, and say what it was."""
    deadline = time.monotonic() + ENDING_SECONDS
    while processes_in(temporary) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = processes_in(temporary)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return left.values()


def processes_in(temporary):
    """Commands of the processes whose environment names the folder, by their ids."""
    found = {}
    for path in glob.glob("/proc/[0-9]*"):
        try:
            with open(f"{path}/environ", "rb") as file:
                inside = f"TMPDIR={temporary}\0".encode() in file.read()
            if inside:
                with open(f"{path}/cmdline", encoding="utf-8", errors="replace") as file:
                    found[int(path[len("/proc/"):])] = file.read().replace("\0", " ").strip()
        except OSError:
            pass  # it has ended meanwhile
    return found


def children():
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="utf-8") as file:
        return [int(pid) for pid in file.read().split()]


def stop(_number, _frame):
    raise KeyboardInterrupt


def main():
    chosen = arguments()
    if chosen.list:
        print("\n".join(STAGES))
        return 0
    if chosen.thorough:
        os.environ[THOROUGH] = "yes"
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    total = run_stages(stages_of(chosen))
    print(total)
    return 1 if total.failed or not total.passed else 0


def stages_of(chosen):
    names = chosen.only or (QUICK if chosen.quick else STAGES.keys() - ASKED | ({"vm"} if chosen.with_vm else set()))
    return [name for name in STAGES if name in names]


def run_stages(names):
    total = Tally()
    beside = []
    try:
        beside = [Beside(name) for name in names if name in BESIDE and len(names) > 1]
        started = [stage.name for stage in beside]
        for name in names:
            if name not in started:
                total.add(run_stage(name))
        for stage in beside:
            total.add(stage.finish())
    except KeyboardInterrupt:
        for stage in beside:
            stage.stop()
        total.fail("stopped")
    return total


if __name__ == "__main__":
    sys.exit(main())
