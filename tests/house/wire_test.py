#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/wire.md is what the tables of ring/wire.h make of it, and no table is left out in silence."""
import os
import sys

ROOT = sys.argv[1]
HEADER = os.path.join(ROOT, "ring/wire.h")
sys.path.insert(0, os.path.join(ROOT, "scripts"))

import wire_tables  # noqa: E402 - where it is, is known only now


def docs_are_up_to_date():
    """Else: scripts/wire_tables.py docs ring/wire.h > docs/wire.md"""
    return wire_tables.read(os.path.join(ROOT, "docs/wire.md")) == wire_tables.make("docs", HEADER)


def refuses(text):
    wire = wire_tables.Wire(text, "")
    try:
        wire.check()
    except AssertionError:
        return True
    return False


def a_table_without_a_type_is_an_error():
    text = wire_tables.read(HEADER)
    return not refuses(text) and refuses(text + "\n#define WIRE_NEWS_TABLE(X) X(uint32_t, x, \"x\")\n")


def a_type_without_a_table_is_an_error():
    return refuses(wire_tables.read(HEADER).replace("define WIRE_PARK_TABLE", "define PARK"))


def every_field_has_its_line():
    wire = wire_tables.Wire(wire_tables.read(HEADER), "")
    rows = wire_tables.read(HEADER).count("    X(")
    used = sum(len(wire_tables.ROW.findall(body)) for _, body in
               wire_tables.TABLE.findall(wire_tables.read(HEADER)))
    return rows > 80 and used == rows + 1 and len(wire.rows["RECOVERY"]) == len(wire.rows["DATA"]) + 4


CASES = (docs_are_up_to_date, a_table_without_a_type_is_an_error, a_type_without_a_table_is_an_error,
         every_field_has_its_line)


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for number, case in enumerate(CASES, 1):
        held = case()
        failed += not held
        print(f"{'ok' if held else 'not ok'} {number} - {case.__name__}")
        if not held and case.__doc__:
            print(f"#   {case.__doc__}")
    return 1 if failed else 0


sys.exit(main())
