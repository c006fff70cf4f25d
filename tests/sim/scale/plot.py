#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Plots and tables of docs/scaling.md, from what `scale --json` printed.

    plot.py FIGURES.json OUTPUT_FOLDER [--before FIGURES.json]    writes *.svg, prints the tables

`--before` are figures of another state of the code, to be shown beside these.
"""
import argparse
import json
import math
import os

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 214, 64, 44
# One colour a series, for light and for dark surroundings; text wears neither.
COLOURS = (("#2a78d6", "#5a9fe8"), ("#d4541c", "#f07f4a"), ("#158a5e", "#35b585"),
           ("#8a4fc4", "#b287e6"), ("#a87400", "#d9a32b"), ("#c22f6e", "#ec6c9f"))
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #4a4a46; }
.title { font-size: 15px; font-weight: 600; fill: #1c1c1a; }
.surface { fill: #fcfcfb; } .grid { stroke: #e4e3df; stroke-width: 1; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; } .dashed { stroke-dasharray: 5 4; }
.ring { stroke: #fcfcfb; stroke-width: 2; }
%s
@media (prefers-color-scheme: dark) {
text { fill: #c3c2b7; } .title { fill: #f4f3ee; } .surface { fill: #1a1a19; }
.grid { stroke: #383835; } .ring { stroke: #1a1a19; }
%s
}"""


def style():
    def rules(which):
        return "\n".join(f".l{i} {{ stroke: {c[which]}; }} .d{i} {{ fill: {c[which]}; }}"
                         for i, c in enumerate(COLOURS))
    return STYLE % (rules(0), rules(1))


def number(value):
    """As few digits as tell it apart: 0.34, 1.7, 24, 210, 1,030, 14 M."""
    if value >= 1e6:
        return f"{value / 1e6:.3g} M"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


class Axis:
    """A logarithmic axis: where a value lies, and where lines are drawn."""

    def __init__(self, values, start, end, base):
        low, high = min(values), max(values)
        self.first = math.floor(math.log(low, base) + 1e-9)
        self.last = max(math.ceil(math.log(high, base) - 1e-9), self.first + 1)
        self.base, self.start, self.end = base, start, end

    def at(self, value):
        part = (math.log(value, self.base) - self.first) / (self.last - self.first)
        return self.start + part * (self.end - self.start)

    def ticks(self):
        return [self.base ** i for i in range(self.first, self.last + 1)]


def labels_apart(places, least=15):
    """Places of labels, moved so that none covers another."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for before, this in zip(order, order[1:]):
        moved[this] = max(moved[this], moved[before] + least)
    overrun = max(moved, default=0) - (HEIGHT - BOTTOM + 4)
    for this, after in zip(reversed(order), [None] + list(reversed(order))):
        limit = HEIGHT - BOTTOM + 4 if after is None else moved[after] - least
        if overrun > 0:
            moved[this] = min(moved[this], limit)
    return moved


def grid(parts, x, y):
    for value in y.ticks():
        at = y.at(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" '
                     f'y2="{at:.1f}"/><text x="{LEFT - 8}" y="{at + 4:.1f}" '
                     f'text-anchor="end">{number(value)}</text>')
    for value in x.ticks():
        parts.append(f'<text x="{x.at(value):.1f}" y="{HEIGHT - BOTTOM + 20}" '
                     f'text-anchor="middle">{value:.0f}</text>')


def chart(title, unit, series):
    """series: (label, colour, dashed, [(nodes, value)]). An SVG, its lines labelled at their end."""
    points = [p for _, _, _, line in series for p in line]
    x = Axis([p[0] for p in points], LEFT, WIDTH - RIGHT, 2)
    y = Axis([p[1] for p in points], HEIGHT - BOTTOM, TOP, 10)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
             f'aria-label="{title}">', f"<style>{style()}</style>",
             f'<rect class="surface" width="{WIDTH}" height="{HEIGHT}"/>',
             f'<text class="title" x="16" y="26">{title}</text>',
             f'<text x="16" y="46">{unit}, by nodes; both axes logarithmic</text>']
    grid(parts, x, y)
    ends = labels_apart([y.at(line[-1][1]) for _, _, _, line in series])
    for (label, colour, dashed, line), end in zip(series, ends):
        path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in line)
        kind = f"line l{colour}" + (" dashed" if dashed else "")
        parts.append(f'<polyline class="{kind}" points="{path}"/>')
        for a, b in line:
            parts.append(f'<circle class="d{colour} ring" cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" '
                         f'r="4"><title>{label}, {a} nodes: {number(b)}</title></circle>')
        right = x.at(line[-1][0])
        parts.append(f'<line class="{kind}" x1="{right + 10:.1f}" x2="{right + 26:.1f}" '
                     f'y1="{end:.1f}" y2="{end:.1f}"/>'
                     f'<text x="{right + 32:.1f}" y="{end + 4:.1f}">{label}</text>')
    return "\n".join(parts + ["</svg>"]) + "\n"


class Figures:
    """The runs of one file, by variant."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.all = json.load(file)

    def runs(self, mtu=1500, multicast=True):
        runs = [r for r in self.all["runs"] if r["mtu"] == mtu and r["multicast"] == multicast]
        return sorted(runs, key=lambda r: r["nodes"])

    def line(self, pick, **variant):
        """Without what is 0: in a ring of one, say."""
        line = [(r["nodes"], pick(r)) for r in self.runs(**variant)]
        return [(nodes, value) for nodes, value in line if value > 0]


def flood(bytes_, all_, what):
    def pick(run):
        return next(f[what] for f in run["flood"] if f["bytes"] == bytes_ and f["all"] == all_)
    return pick


def beyond_us(run):
    return sum(run["change"][part] for part in ("join_us", "commit_us", "recover_us", "open_us"))


def latency_chart(f):
    return chart("Latency of a 64 byte message, and a rotation", "Microseconds, median", [
        ("SAFE, at the last", 1, False, f.line(lambda r: r["safe"]["last_p50"])),
        ("idle rotation", 0, True, f.line(lambda r: r["rotation_us"])),
        ("agreed, token elsewhere", 2, False, f.line(lambda r: r["elsewhere"]["last_p50"])),
        ("agreed, token rests here", 3, False, f.line(lambda r: r["here"]["last_p50"])),
    ])


def throughput_chart(f, all_):
    who = "all nodes" if all_ else "one node"
    return chart(f"Goodput of a flood from {who}, multicast", "Gb/s that each node delivers", [
        (f"{name}, MTU {mtu}", colour, mtu == 9000,
         f.line(flood(size, all_, "gbps"), mtu=mtu))
        for colour, (size, name) in enumerate(((64, "64 B"), (1024, "1 KiB"), (8192, "8 KiB")))
        for mtu in (1500, 9000)])


def fan_out_chart(f):
    return chart("Multicast and fan-out: 1 KiB from all nodes", "Gb/s that each node delivers", [
        (f"{name}, MTU {mtu}", colour, mtu == 9000,
         f.line(flood(1024, True, "gbps"), mtu=mtu, multicast=multicast))
        for colour, (name, multicast) in enumerate((("multicast", True), ("fan-out", False)))
        for mtu in (1500, 9000)])


def change_chart(f):
    def several(pick):
        """Of two nodes one remains, which has nobody to agree with."""
        return [(nodes, value) for nodes, value in f.line(pick) if nodes > 2]

    def part(name):
        return several(lambda r: r["change"][name])

    return chart("From finding a crash to the new view's open gate", "Microseconds", [
        ("all of it", 0, False, several(beyond_us)),
        ("recovery", 1, False, part("recover_us")),
        ("exchange of members", 2, False, part("open_us")),
        ("commit", 3, False, part("commit_us")),
        ("last JOINs", 4, False, part("join_us")),
    ])


def control_chart(f):
    return chart("Control frames on the wire, whole cluster", "Frames", [
        ("JOINs of a change, fan-out", 1, True,
         f.line(lambda r: r["change"]["joins"], multicast=False)),
        ("JOINs of a change", 1, False, f.line(lambda r: r["change"]["joins"])),
        ("at rest, a second", 0, False, f.line(lambda r: r["idle"]["frames"])),
        ("at rest, to one node a second", 2, False, f.line(lambda r: r["idle"]["node_frames"])),
    ])


def before_chart(f, before):
    lines = []
    for colour, (name, pick) in enumerate((
            ("idle rotation", lambda r: r["rotation_us"]),
            ("rotation, 1 KiB from all", flood(1024, True, "rotation_us")))):
        lines.append((name + " before", colour, True, before.line(pick)))
        lines.append((name, colour, False, f.line(pick)))
    return chart("Rotations before and after", "Microseconds", lines)


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + " ---: |" * len(head))
    for row in rows:
        print("| " + " | ".join(c if isinstance(c, str) else number(c) for c in row) + " |")
    print()


def latency_table(f):
    print("Latency, multicast, MTU 1500 (us, p50 and p99)\n")
    table(["nodes", "rotation", "here, own", "here, last", "elsewhere, last", "turning, last",
           "SAFE, own", "SAFE, last"], [
        [r["nodes"], r["rotation_us"]] + [
            number(r[kind][f"{end}_p50"]) + " / " + number(r[kind][f"{end}_p99"])
            for kind, end in (("here", "own"), ("here", "last"), ("elsewhere", "last"),
                              ("turning", "last"), ("safe", "own"), ("safe", "last"))]
        for r in f.runs()])


def flood_table(f, all_):
    variants = [(multicast, mtu) for multicast in (True, False) for mtu in (1500, 9000)
                if f.runs(mtu=mtu, multicast=multicast)]
    sizes = ((64, "64 B"), (1024, "1 KiB"), (8192, "8 KiB"))
    print(f"Goodput in Gb/s, flood from {'all' if all_ else 'one'}: multicast, and fan-out (f)\n")
    columns = [dict(f.line(flood(size, all_, "gbps"), mtu=mtu, multicast=multicast))
               for multicast, mtu in variants for size, _ in sizes]
    head = [f"{name}, {mtu}{'' if multicast else ' f'}" for multicast, mtu in variants
            for _, name in sizes]
    table(["nodes"] + head,
          [[nodes] + [column.get(nodes, "") for column in columns] for nodes in columns[0]])


def membership_table(f):
    for multicast in (True, False):
        runs = f.runs(multicast=multicast)
        print(f"Membership, {'multicast' if multicast else 'fan-out'}, MTU 1500\n")
        table(["nodes", "view, ms", "beyond, us", "last JOINs", "commit", "recovery", "exchange",
               "JOINs", "JOIN bytes", "formed, ms", "JOINs to form", "at rest, frames/s",
               "bytes/s"],
              [[r["nodes"], r["change"]["total_ms"], beyond_us(r)] +
               [r["change"][k] for k in ("join_us", "commit_us", "recover_us", "open_us",
                                         "joins", "join_bytes")] +
               [r["formation"]["ms"], r["formation"]["joins"], r["idle"]["frames"],
                r["idle"]["bytes"]] for r in runs])


def memory_table(f):
    print("Memory, 1 KiB from all, multicast, MTU 1500\n")
    table(["nodes", "ring bytes", "receive frames held", "send frames held"],
          [[r["nodes"], r["ring_bytes"], flood(1024, True, "rx_frames")(r),
            flood(1024, True, "tx_frames")(r)] for r in f.runs()])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("figures")
    parser.add_argument("folder")
    parser.add_argument("--before")
    options = parser.parse_args()
    f = Figures(options.figures)
    charts = {"latency": latency_chart(f), "throughput-all": throughput_chart(f, True),
              "throughput-one": throughput_chart(f, False), "fan-out": fan_out_chart(f),
              "change": change_chart(f), "control": control_chart(f)}
    if options.before:
        charts["before"] = before_chart(f, Figures(options.before))
    for name, svg in charts.items():
        with open(os.path.join(options.folder, f"scaling-{name}.svg"), "w",
                  encoding="utf-8") as file:
            file.write(svg)
    latency_table(f)
    for all_ in (True, False):
        flood_table(f, all_)
    membership_table(f)
    memory_table(f)


if __name__ == "__main__":
    main()
