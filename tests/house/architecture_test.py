#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The whole tree against the rules of the house. Speaks TAP; the argument is the tree's root."""
import sys

import rules


def main():
    tree = rules.Tree(sys.argv[1])
    failed = 0
    print(f"1..{len(rules.RULES)}")
    for number, rule in enumerate(rules.RULES, 1):
        places = rule(tree)
        if places is None:
            print(f"ok {number} - {rule.__name__} # SKIP clang-format is not installed")
            continue
        places = list(places)
        print(f"{'not ok' if places else 'ok'} {number} - {rule.__name__}")
        for place in places:
            print(f"#   {place}")
        failed += bool(places)
    return 1 if failed else 0


sys.exit(main())
