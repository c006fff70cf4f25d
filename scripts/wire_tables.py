#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What is made from the tables of ring/wire.h: `wire_tables.py docs|lua|asserts ring/wire.h`.

docs     docs/wire.md: every frame, field by field
lua      the dissector for wireshark: scripts/dissector.lua with the tables in front
asserts  static_assert()s that the compiler's layout is the one computed here
"""
import os
import re
import sys

SIZES = {"uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "uint64_t": 8, "struct wire_tag": 16,
         "struct wire_chunk": 8}
# Numbers that nobody compares by size.
HEX = ("magic", "cluster_tag", "nonce", "incarnation", "deliver_low", "deliver_high")
TABLE = re.compile(r"^#define WIRE_(\w+)_TABLE\(X\)((?:.*\\\n)*.*)", re.MULTILINE)
ROW = re.compile(r"\bX\(([^\"]*?),?\s*\"([^\"]*)\"\)|\bWIRE_(\w+)_TABLE\(X\)")
NOT_FIELDS = ("TYPE", "LIST", "FLAG", "CHUNK_BITS")


class Wire:
    """The tables of a header, as they stand in it, and the names of the guarantees."""

    def __init__(self, text, types_text):
        self.text = text
        self.guarantees = [(int(number), name) for name, number
                           in re.findall(r"\bGUARANTEE_(\w+) = (\d+)", types_text)]
        found = {name: body for name, body in TABLE.findall(text)}
        self.rows = {name: list(self._rows(found, name)) for name in found}
        self.types = [(name, lower, int(number), meaning)
                      for name, lower, number, meaning in self.rows["TYPE"]]

    def _rows(self, found, name):
        for words, meaning, other in ROW.findall(found[name]):
            if other:
                yield from self._rows(found, other)
            else:
                yield (*(word.strip() for word in words.split(",")), meaning)

    def fields(self, name):
        """(offset, size, type, field, meaning), from the start of the frame; of a chunk, from its own."""
        at = 0 if name in ("head", "chunk") else self.bytes("head")
        for kind, field, meaning in self.rows[name.upper()]:
            yield at, SIZES[kind], kind, field, meaning
            at += SIZES[kind]

    def bytes(self, name):
        last = list(self.fields(name))[-1]
        return last[0] + last[1]

    def lists(self, name):
        return [row[1:] for row in self.rows["LIST"] if row[0] == name]

    def flags(self, name):
        name = "data" if name == "recovery" else name
        return [(flag, int(bit), meaning) for of, flag, bit, meaning in self.rows["FLAG"] if of == name]

    def chunk_bits(self, field):
        return [(part, int(bit), int(bits), meaning)
                for of, part, bit, bits, meaning in self.rows["CHUNK_BITS"] if of == field]

    def number(self, name):
        return int(re.search(rf"\b{name} = (\w+)", self.text).group(1), 0)

    def check(self):
        """Each sort of table is known, so that none is left out in silence."""
        known = {*NOT_FIELDS, "HEAD", "CHUNK", *(name for name, *_ in self.types)}
        assert set(self.rows) == known, f"tables without a type, or types without a table: " \
            f"{set(self.rows) ^ known}"


# docs/wire.md


def table(titles, rows):
    rows = [titles, ["---"] * len(titles), *rows]
    return "".join("| " + " | ".join(str(word) for word in row) + " |\n" for row in rows)


def field_table(wire, name):
    return table(["offset", "bytes", "field", "meaning"],
                 [[at, size, f"`{field}`", meaning]
                  for at, size, _, field, meaning in wire.fields(name)])


def type_section(wire, name, lower, number, meaning):
    yield f"\n## {name}: {meaning}\n\nType {number}; {wire.bytes(lower)} bytes and what follows.\n\n"
    yield field_table(wire, lower)
    for flag, bit, says in wire.flags(lower):
        yield f"\nBit {bit} of `flags`, {flag}: {says}.\n"
    for entry, kind, count, says in wire.lists(lower):
        what = "chunks" if "chunk" in kind else f"numbers of {SIZES[kind]} bytes"
        yield f"\nThen `{entry}`, {what}, as many as `{count}` says: {says}.\n"


def docs(wire):
    low, high = wire.number("WIRE_VERSION_LOW"), wire.number("WIRE_VERSION_HIGH")
    versions = low if low == high else f"{low} to {high}"
    yield f"""# What travels

Made by `scripts/wire_tables.py docs ring/wire.h` from the tables of `ring/wire.h`; the dissector that
shows frames in wireshark is made from the same ones (see [capture.md](capture.md)).

Everything is little-endian, and no field has padding before it. A frame is a head, the fixed part of its
type, lists, and in DATA and RECOVERY payload. Heads, and the layout of JOIN, are the same in every version;
the rest is that of version {versions}. Over IP a frame is what a UDP datagram carries.

"""
    yield table(["type", "", "meaning"], [[number, name, meaning]
                                          for name, _, number, meaning in wire.types])
    yield "\n## The head of every frame\n\n" + field_table(wire, "head")
    for row in wire.types:
        yield from type_section(wire, *row)
    yield "\n## Chunks\n\nOne message each, or one piece of a message that spans frames.\n\n"
    yield table(["bytes", "bits", "part", "meaning"],
                [[f"{at} to {at + size - 1}", f"{bit} to {bit + bits - 1}" if bits > 1 else bit,
                  part, meaning]
                 for at, size, _, field, _ in wire.fields("chunk")
                 for part, bit, bits, meaning in wire.chunk_bits(field)])
    align = wire.number("WIRE_PAYLOAD_ALIGN")
    yield f"""
Pieces lie in payload in the order of their chunks, each at the next multiple of {align} behind the one
before; a piece of 0 bytes takes no place. What lies between is anything.
"""


# The dissector


def lua_fields(wire, name, indent):
    for at, size, _, field, meaning in wire.fields(name):
        base = ", hex = true" if field in HEX else ""
        yield f'{indent}{{ name = "{field}", at = {at}, bytes = {size}{base}, says = "{meaning}" }},\n'


def lua_type(wire, name, lower, number, meaning):
    yield f'    [{number}] = {{\n        name = "{lower}", title = "{name}", says = "{meaning}", ' \
          f"bytes = {wire.bytes(lower)},\n        fields = {{\n"
    yield from lua_fields(wire, lower, " " * 12)
    yield "        },\n        flags = {\n"
    for flag, bit, says in wire.flags(lower):
        yield f'            {{ name = "{flag}", bit = {bit}, says = "{says}" }},\n'
    yield "        },\n        lists = {\n"
    for entry, kind, count, says in wire.lists(lower):
        yield f'            {{ name = "{entry}", bytes = {SIZES[kind]}, count = "{count}", ' \
              f'says = "{says}" }},\n'
    yield "        },\n    },\n"


def lua_tables(wire):
    yield "-- SPDX-License-Identifier: BSD-3-Clause\n" \
          "-- Made by scripts/wire_tables.py from ring/wire.h and scripts/dissector.lua.\n\n"
    for name in ("WIRE_MAGIC", "WIRE_VERSION_LOW", "WIRE_VERSION_HIGH", "WIRE_PAYLOAD_ALIGN"):
        yield f"local {name} = {wire.number(name)}\n"
    yield "\nlocal guarantees = {\n"
    for number, name in wire.guarantees:
        yield f'    [{number}] = "{name}",\n'
    yield "}\n"
    yield f"\nlocal head = {{\n    bytes = {wire.bytes('head')},\n    fields = {{\n"
    yield from lua_fields(wire, "head", " " * 8)
    yield "    },\n}\n\nlocal types = {\n"
    for row in wire.types:
        yield from lua_type(wire, *row)
    yield f"}}\n\nlocal chunk = {{\n    bytes = {wire.bytes('chunk')},\n    parts = {{\n"
    for at, size, _, field, _ in wire.fields("chunk"):
        for part, bit, bits, meaning in wire.chunk_bits(field):
            yield f'        {{ name = "{part}", at = {at}, bytes = {size}, bit = {bit}, ' \
                  f'bits = {bits}, says = "{meaning}" }},\n'
    yield "    },\n}\n\n"


def lua(wire):
    yield from lua_tables(wire)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dissector.lua")
    yield read(path).split("\n", 1)[1].lstrip("\n")  # its licence stands above


# What the compiler must say, too


def asserts(wire):
    for name in ("head", "chunk", *(lower for _, lower, _, _ in wire.types)):
        for at, size, _, field, _ in wire.fields(name):
            yield f"static_assert(offsetof(struct wire_{name}, {field}) == {at} && " \
                  f"sizeof(((struct wire_{name} *)0)->{field}) == {size}, \"{name}.{field}\");\n"
        yield f"static_assert(sizeof(struct wire_{name}) == {wire.bytes(name)}, \"{name}\");\n"
    for name, _, number, _ in wire.types:
        yield f"static_assert(WIRE_{name} == {number}, \"{name}\");\n"
    yield f"static_assert(WIRE_TYPES == {len(wire.types) + 1}, \"types\");\n"


MADE = {"docs": docs, "lua": lua, "asserts": asserts}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def make(what, path):
    root = os.path.dirname(os.path.dirname(os.path.abspath(path)))
    wire = Wire(read(path), read(os.path.join(root, "include/synchrotron/types.h")))
    wire.check()
    return "".join(MADE[what](wire))


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in MADE:
        sys.exit(__doc__)
    sys.stdout.write(make(*sys.argv[1:]))


if __name__ == "__main__":
    main()
