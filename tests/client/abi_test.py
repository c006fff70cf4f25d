# SPDX-License-Identifier: BSD-3-Clause
"""What a linker and a compiler see of the library: symbols, versions, sonames, headers.

Arguments: libcpg, libcorosync_common, the include folder, the build folder.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

LIBCPG, LIBCOMMON, INCLUDE, BUILD = sys.argv[1:5]

VERSIONED = """cpg_initialize cpg_finalize cpg_fd_get cpg_dispatch cpg_join cpg_leave
    cpg_mcast_joined cpg_membership_get cpg_context_get cpg_context_set cpg_zcb_alloc
    cpg_zcb_free cpg_model_initialize cpg_max_atomic_msgsize_get cpg_local_get
    cpg_flow_control_state_get cpg_zcb_mcast_joined cpg_iteration_initialize
    cpg_iteration_next cpg_iteration_finalize""".split()
HELPERS = ["cs_strerror", "qb_to_cs_error", "hdb_error_to_cs"]

# Calls all twenty with a handle that is none, and the helpers.
PROGRAM = """
#include <corosync/cpg.h>
#include <stdio.h>
#include <stdlib.h>
#define BAD(call) do { if ((call) != CS_ERR_BAD_HANDLE) { puts(#call); exit(1); } } while (0)
int main(void)
{
    int fd, count; unsigned node; uint32_t size; void *p; char c;
    struct cpg_name name = { 1, "a" };
    struct cpg_address list[CPG_MEMBERS_MAX];
    struct cpg_iteration_description_t d;
    cpg_iteration_handle_t it;
    cpg_flow_control_state_t flow;
    struct iovec iov = { &c, 1 };
    cpg_handle_t h = 5;
    setenv("SYNCHROTRON_RUNTIME_DIR", "/nonexistent", 1);
    if (cpg_initialize(&h, NULL) != CS_ERR_LIBRARY) return 2;
    if (cpg_model_initialize(&h, CPG_MODEL_V1, NULL, NULL) != CS_ERR_LIBRARY) return 3;
    BAD(cpg_finalize(h)); BAD(cpg_fd_get(h, &fd)); BAD(cpg_dispatch(h, CS_DISPATCH_ALL));
    BAD(cpg_join(h, &name)); BAD(cpg_leave(h, &name));
    BAD(cpg_mcast_joined(h, CPG_TYPE_AGREED, &iov, 1));
    BAD(cpg_membership_get(h, &name, list, &count));
    BAD(cpg_context_get(h, &p)); BAD(cpg_context_set(h, p));
    BAD(cpg_zcb_alloc(h, 1, &p)); BAD(cpg_zcb_free(h, &c));
    BAD(cpg_zcb_mcast_joined(h, CPG_TYPE_AGREED, &c, 1));
    BAD(cpg_max_atomic_msgsize_get(h, &size)); BAD(cpg_local_get(h, &node));
    BAD(cpg_flow_control_state_get(h, &flow));
    BAD(cpg_iteration_initialize(h, CPG_ITERATION_ALL, NULL, &it));
    BAD(cpg_iteration_next(h, &d)); BAD(cpg_iteration_finalize(h));
    puts(cs_strerror(CS_OK));
    return 0;
}
"""


def run(*command, **options):
    return subprocess.run(command, text=True, capture_output=True, timeout=60, **options)


def defined(library):
    """name -> version ('' for none) of what a library exports."""
    names = {}
    for line in run("readelf", "-W", "--dyn-syms", library).stdout.splitlines():
        match = re.match(r"\s*\d+: \S+\s+\S+ (\w+)\s+(GLOBAL|WEAK)\s+\w+\s+(\S+) ([^@\s]+)(@*\S*)",
                         line)
        if match and match.group(1) == "FUNC" and match.group(3) != "UND":
            names[match.group(4)] = match.group(5)
    return names


def soname(library):
    return re.search(r"SONAME.*\[(.*)\]", run("readelf", "-d", library).stdout).group(1)


def instrumented():
    return "__asan_init" in run("readelf", "-W", "--dyn-syms", LIBCPG).stdout or \
        "__tsan_init" in run("readelf", "-W", "--dyn-syms", LIBCPG).stdout


class Library(unittest.TestCase):
    def test_A1_all_twenty_functions_have_the_default_version_and_nothing_else_shows(self):
        self.assertEqual(defined(LIBCPG),
                         {name: "@@COROSYNC_CPG_1.0" for name in VERSIONED})

    def test_A1_there_is_one_version_node(self):
        text = run("readelf", "-V", LIBCPG).stdout.split("Version needs")[0]
        self.assertEqual(re.findall(r"Name: (\S+)", text), ["libcpg.so.4", "COROSYNC_CPG_1.0"])

    def test_A1_soname_and_file(self):
        self.assertEqual(soname(LIBCPG), "libcpg.so.4")
        self.assertEqual(os.path.basename(os.path.realpath(LIBCPG)), "libcpg.so.4.1.0")

    def test_A2_the_helpers_are_in_another_library_without_version(self):
        self.assertEqual(defined(LIBCOMMON), {name: "" for name in HELPERS})
        self.assertEqual(soname(LIBCOMMON), "libcorosync_common.so.4")


class Headers(unittest.TestCase):
    def compiles(self, command, header):
        done = run(*command, "-I", INCLUDE, "-fsyntax-only", "-",
                   input=f"#include <{header}>\nstruct iovec used;\n"
                   if header.endswith("cpg.h") else f"#include <{header}>\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_A3_they_compile_alone_as_C99(self):
        for header in "corosync/cpg.h", "corosync/corotypes.h":
            self.compiles(["cc", "-x", "c", "-std=c99", "-pedantic", "-Wall", "-Wextra"], header)

    @unittest.skipUnless(shutil.which("c++"), "no C++ compiler")
    def test_A3_they_compile_alone_as_Cxx(self):
        for standard in "-std=c++98", "-std=c++17":
            for header in "corosync/cpg.h", "corosync/corotypes.h":
                self.compiles(["c++", "-x", "c++", standard, "-Wall", "-Wextra"], header)

    def test_A3_types_that_programs_count_on_come_along(self):
        done = run("cc", "-x", "c", "-std=c99", "-I", INCLUDE, "-fsyntax-only", "-",
                   input="#include <corosync/cpg.h>\nstruct sockaddr_in in;\nstruct timeval tv;\n"
                   "const char *f = CS_PRI_NODE_ID CS_PRI_RING_ID;\n"
                   "cs_time_t end = CS_TIME_END;\nuint64_t t(void){return cs_timestamp_get();}\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Programs(unittest.TestCase):
    def build(self, folder, headers, library_folder):
        source = os.path.join(folder, "program.c")
        program = os.path.join(folder, "program")
        with open(source, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        done = run("cc", *headers, "-o", program, source, *library_folder, "-lcpg",
                   "-lcorosync_common")
        self.assertEqual(done.returncode, 0, done.stderr)
        return program

    def runs(self, program):
        path = os.path.dirname(LIBCPG)
        done = run(program, env={**os.environ, "LD_LIBRARY_PATH": path})
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "success\n", ""))

    @unittest.skipIf(instrumented(), "a program has to start with the sanitizer")
    def test_a_program_built_with_our_headers_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            self.runs(self.build(folder, ["-I", INCLUDE], ["-L", os.path.dirname(LIBCPG)]))

    @unittest.skipIf(instrumented(), "a program has to start with the sanitizer")
    @unittest.skipUnless(os.path.exists("/usr/include/corosync/cpg.h"), "no libcpg-dev")
    def test_A1_a_program_built_against_corosync_runs_without_a_warning(self):
        with tempfile.TemporaryDirectory() as folder:
            self.runs(self.build(folder, [], []))


class PkgConfig(unittest.TestCase):
    def field(self, module, name):
        path = os.path.join(BUILD, "meson-private", module + ".pc")
        with open(path, encoding="utf-8") as file:
            return re.search(rf"^{name}: *(.*)$", file.read(), re.MULTILINE).group(1)

    def test_the_modules_say_what_programs_ask_for(self):
        self.assertEqual(self.field("libcpg", "Name"), "cpg")
        self.assertTrue(self.field("libcpg", "Libs").endswith("-lcpg"))
        self.assertEqual(self.field("libcorosync_common", "Name"), "corosync_common")
        version = tuple(int(part) for part in self.field("libcpg", "Version").split("."))
        self.assertGreaterEqual(version, (3, 1))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
