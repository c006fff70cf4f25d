# SPDX-License-Identifier: BSD-3-Clause
"""The rules of the house, each a function from a tree to the places that break it.

A place is a line of text, `path:line: what is wrong`. docs/architecture.md says why the rules are.
"""
import os
import re
import shutil
import subprocess

# Who may include whom: a room, and the rooms below it that it sees.
BELOW = {
    "include": set(),
    "zcb": {"include"},
    "ring": {"include", "zcb"},
    "transport": {"include", "zcb"},
    "client": {"include", "zcb"},
    "daemon": {"include", "zcb", "ring", "transport"},
    "cli": {"include", "zcb", "client"},
    "perf": {"include", "zcb", "ring", "transport", "client"},
    "tests": {"include", "zcb", "ring", "transport", "client", "daemon", "cli"},
}
# What a room shows to others: all of include/, one header of these, nothing of the rest.
DOORS = {"zcb": "zcb.h", "ring": "ring.h", "transport": "transport.h"}

# Third-party headers by their beginning, and where they may stand.
THIRD_PARTY = {
    "qb/": ("daemon/", "tests/daemon/"),
    "jansson": ("daemon/", "cli/", "perf/", "tests/"),
    "rte_": ("transport/dpdk/", "perf/raw_dpdk.c", "tests/transport/"),
    "infiniband/": ("transport/verbs/", "tests/transport/"),
    "rdma/": ("transport/verbs/", "tests/transport/"),
    "criterion/": ("tests/",),
}
# The doors, and the one between the two threads of the daemon, show none of them.
PLAIN_DOORS = ("include/", "zcb/zcb.h", "ring/ring.h", "transport/transport.h", "daemon/core.h")

# The ring is a machine that can be replayed: these would let the world in.
RING_HEADERS = re.compile(r"(sys|netinet|arpa|linux|net)/|"
                          r"(time|pthread|unistd|threads|poll|signal|fcntl|syslog|stdio)\.h$")
RING_CALLS = re.compile(r"\b(malloc|calloc|realloc|free|f?printf|rand|random|clock_gettime|time|"
                        r"usleep|nanosleep|socket|pthread_\w+)\s*\(")

CLANG_FORMAT = shutil.which("clang-format")
LINES_MAX = 800
SOURCE_ENDS = (".c", ".h", ".py", ".sh", "meson.build", "meson_options.txt", ".map")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
MACHINE_PATH = re.compile(r"(^|[^A-Za-z0-9_.])/(?:work|farm|home|root)/|"
                          r"\bdeb\.debian\.(?:org)|\bregistry\.npm(?:js)")
CRITERION_GT = re.compile(r"\bgt\(\w+, ")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK|not imple" r"mented)\b")


class Tree:
    """Files of a source tree; build folders and what hides behind a dot are not part of it."""

    def __init__(self, root):
        self.root = root
        self.files = {}  # path below root -> text
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders
                          if not name.startswith((".", "build", "__pycache__"))]
            for name in names:
                if name == ".git":  # a linked work tree's
                    continue
                self._read(os.path.relpath(os.path.join(folder, name), root))

    def _read(self, path):
        try:
            with open(os.path.join(self.root, path), encoding="utf-8") as file:
                self.files[path] = file.read()
        except (UnicodeDecodeError, OSError):
            pass  # a corpus file, or one that an editor has just taken away

    def c_files(self):
        return {path: text for path, text in self.files.items()
                if path.endswith((".c", ".h")) and room_of(path)}

    def sources(self):
        return {path: text for path, text in self.files.items()
                if path.endswith(SOURCE_ENDS) or text.startswith("#!")}


def room_of(path):
    room = path.split("/")[0]
    return room if room in BELOW and "/" in path else None


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def owner(tree, path, header):
    """The path of the file that `#include "header"` in `path` means, or None."""
    folder = os.path.dirname(path)
    while folder:
        candidate = os.path.normpath(os.path.join(folder, header))
        if candidate in tree.files:
            return candidate
        folder = os.path.dirname(folder)
    for room in BELOW:
        if f"{room}/{header}" in tree.files:
            return f"{room}/{header}"
    if header in tree.files and room_of(header):
        return header
    return None


def includes_point_down(tree):
    for path, text in tree.c_files().items():
        room = room_of(path)
        for number, ours, header in includes(text):
            target = owner(tree, path, header) if ours else None
            if ours and target is None and not third_party(header):
                yield f"{path}:{number}: nobody has a header {header}"
            if target and room_of(target) not in BELOW[room] | {room}:
                yield f"{path}:{number}: {room} does not see {target}"


def rooms_are_entered_by_their_door(tree):
    for path, text in tree.c_files().items():
        room = room_of(path)
        if room == "tests":
            continue  # a unit's test sees the unit
        for number, ours, header in includes(text):
            target = owner(tree, path, header) if ours else None
            inside = target and room_of(target)
            if inside and inside not in (room, "include") and target != door(inside):
                yield f"{path}:{number}: {target} is an inner header of {inside}"


def door(room):
    return f"{room}/{DOORS[room]}" if room in DOORS else None


def no_include_climbs(tree):
    for path, text in tree.c_files().items():
        for number, _, header in includes(text):
            if ".." in header.split("/"):
                yield f"{path}:{number}: {header}"


def third_party(header):
    for start, allowed in THIRD_PARTY.items():
        if header.startswith(start):
            return allowed
    return None


def third_party_headers_keep_their_place(tree):
    for path, text in tree.c_files().items():
        for number, _, header in includes(text):
            allowed = third_party(header)
            if allowed and not path.startswith(allowed):
                yield f"{path}:{number}: {header} belongs into {' or '.join(allowed)}"
            elif allowed and path.startswith(PLAIN_DOORS):
                yield f"{path}:{number}: {header} stands in a door"


def the_ring_can_be_replayed(tree):
    for path, text in tree.c_files().items():
        if not path.startswith("ring/"):
            continue
        for number, ours, header in includes(text):
            if not ours and RING_HEADERS.match(header):
                yield f"{path}:{number}: {header}"
        bare = COMMENT.sub(lambda match: "\n" * match.group().count("\n"), text)
        for number, line in enumerate(bare.splitlines(), 1):
            if RING_CALLS.search(line):
                yield f"{path}:{number}: {line.strip()}"


def every_source_names_its_licence(tree):
    for path, text in tree.sources().items():
        if text and "SPDX-License-Identifier: BSD-3-Clause" not in text[:200] and \
                not is_small_meson(path, text):
            yield f"{path}:1: no SPDX-License-Identifier line"


def is_small_meson(path, text):
    return path.endswith("meson.build") and text.count("\n") < 12


def no_file_holds_two_subjects(tree):
    for path, text in tree.sources().items():
        if text.count("\n") > LINES_MAX:
            yield f"{path}: {text.count(chr(10))} lines, at most {LINES_MAX}"


def no_path_of_a_machine(tree):
    yield from lines_with(tree.files, MACHINE_PATH)


def nothing_calls_itself_unfinished(tree):
    yield from lines_with(tree.sources(), UNFINISHED)


def lines_with(files, pattern):
    for path, text in files.items():
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                yield f"{path}:{number}: {line.strip()}"


def tests_do_not_ask_for_gt(tree):
    """Criterion 2.4.1 takes gt(T, a, a) for true: write lt(T, b, a), or ne(T, a, 0)."""
    files = {path: text for path, text in tree.c_files().items()
             if path.startswith("tests/") and not path.startswith("tests/plain/")}
    yield from lines_with(files, CRITERION_GT)


def form_is_clang_formats(tree):
    """None: there is no clang-format to ask."""
    paths = sorted(tree.c_files())
    if not CLANG_FORMAT:
        return None
    done = subprocess.run([CLANG_FORMAT, "--dry-run", "--Werror", *paths], cwd=tree.root,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    wrong = re.findall(r"^(\S+?:\d+):\d+: error", done.stderr, re.MULTILINE)
    return sorted({place + ": clang-format differs" for place in wrong}) if paths else []


RULES = (
    includes_point_down,
    rooms_are_entered_by_their_door,
    no_include_climbs,
    third_party_headers_keep_their_place,
    the_ring_can_be_replayed,
    every_source_names_its_licence,
    no_file_holds_two_subjects,
    no_path_of_a_machine,
    nothing_calls_itself_unfinished,
    tests_do_not_ask_for_gt,
    form_is_clang_formats,
)
