#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every rule of the house finds a breach made for it, and nothing in a tree without one."""
import os
import sys
import tempfile

import rules

SPDX = "/* SPDX-License-Identifier: BSD-3-Clause */\n"
SOUND = {
    "include/synchrotron/types.h": SPDX,
    "zcb/zcb.h": SPDX + '#include "pool.h"\n',
    "zcb/pool.h": SPDX,
    "ring/ring.h": SPDX + '#include "zcb.h"\n',
    "ring/ring.c": SPDX + '#include "ring.h"\n#include <string.h>\n/* free() is not here */\n',
    "transport/transport.h": SPDX,
    "transport/udp/udp.c": SPDX + '#include "transport.h"\n#include <sys/socket.h>\n',
    "daemon/loop.c": SPDX + '#include "ring.h"\n#include <qb/qbloop.h>\n',
    "daemon/core.h": SPDX,
    "client/cpg.c": SPDX + '#include "zcb.h"\n',
    "tests/zcb/pool_test.c": SPDX + '#include "pool.h"\n#include <criterion/criterion.h>\n',
    "scripts/setup": "#!/bin/sh\n# SPDX-License-Identifier: BSD-3-Clause\n",
    ".git": "gitdir: /ho" "me/somebody/clone/.git/worktrees/tree\n",  # of a linked work tree
}
BREACHES = (  # rule, file, what is in it
    (rules.includes_point_down, "zcb/up.c", '#include "ring.h"\n'),
    (rules.includes_point_down, "ring/sideways.c", '#include "transport.h"\n'),
    (rules.includes_point_down, "daemon/lost.c", '#include "nowhere.h"\n'),
    (rules.rooms_are_entered_by_their_door, "ring/inner.c", '#include "pool.h"\n'),
    (rules.no_include_climbs, "ring/climb.c", '#include "../zcb/zcb.h"\n'),
    (rules.third_party_headers_keep_their_place, "client/loop.c", "#include <qb/qbloop.h>\n"),
    (rules.third_party_headers_keep_their_place, "transport/udp/x.c", "#include <rte_mbuf.h>\n"),
    (rules.third_party_headers_keep_their_place, "daemon/core.h", "#include <qb/qbloop.h>\n"),
    (rules.the_ring_can_be_replayed, "ring/clock.c", "#include <time.h>\n"),
    (rules.the_ring_can_be_replayed, "ring/heap.c", "void *x = malloc(1);\n"),
    (rules.no_file_holds_two_subjects, "zcb/long.c", "\n" * (rules.LINES_MAX + 1)),
    (rules.no_path_of_a_machine, "docs/where.md", "see /ho" "me/somebody/notes\n"),
    (rules.nothing_calls_itself_unfinished, "zcb/later.c", "/* TO" "DO: later */\n"),
    (rules.tests_do_not_ask_for_gt, "tests/zcb/gt_test.c", "int a = gt(" "u32, 1, 1);\n"),
    (rules.form_is_clang_formats, "zcb/form.c", "int  x ;\n"),
)
BARE = (rules.every_source_names_its_licence, "zcb/bare.c", "int x;\n")


def broken_rules(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        tree = rules.Tree(root)
        return {rule for rule in rules.RULES if list(rule(tree) or ())}


def main():
    cases = [("a_sound_tree_breaks_none", broken_rules(SOUND) == set())]
    for rule, path, text in BREACHES:
        if rule is rules.form_is_clang_formats and not rules.CLANG_FORMAT:
            continue
        found = broken_rules({**SOUND, path: SPDX + text})
        cases.append((f"{rule.__name__}_finds_{path}", rule in found))
    rule, path, text = BARE
    cases.append((f"{rule.__name__}_finds_{path}", rule in broken_rules({**SOUND, path: text})))
    print(f"1..{len(cases)}")
    for number, (name, held) in enumerate(cases, 1):
        print(f"{'ok' if held else 'not ok'} {number} - {name}")
    return 0 if all(held for _, held in cases) else 1


sys.exit(main())
