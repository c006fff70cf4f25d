#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What scale prints can be plotted: plot_test.py SCALE"""
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

import plot

SCALE = sys.argv.pop(1)
SVG = "{http://www.w3.org/2000/svg}"


def rising(points):
    return sorted(points) == points


class Plots(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.figures = os.path.join(cls.folder.name, "figures.json")
        with open(cls.figures, "w", encoding="utf-8") as file:
            subprocess.run([SCALE, "--nodes", "2,4", "--brief", "--json"], stdout=file, check=True)
        here = os.path.dirname(os.path.abspath(__file__))
        done = subprocess.run(
            [sys.executable, "-B", os.path.join(here, "plot.py"), cls.figures, cls.folder.name,
             "--before", cls.figures], capture_output=True, text=True, check=True)
        cls.tables = done.stdout
        cls.svgs = sorted(name for name in os.listdir(cls.folder.name) if name.endswith(".svg"))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_there_are_seven_plots_and_each_is_one_picture_with_lines(self):
        self.assertEqual(len(self.svgs), 7)
        for name in self.svgs:
            root = xml.parse(os.path.join(self.folder.name, name)).getroot()
            self.assertEqual(root.tag, SVG + "svg")
            lines = root.findall(SVG + "polyline")
            self.assertTrue(lines, name)
            for line in lines:
                across = [float(p.split(",")[0]) for p in line.get("points").split()]
                self.assertTrue(rising(across), name)

    def test_every_row_of_a_table_has_as_many_cells_as_its_head(self):
        rows = [line.count("|") for line in self.tables.splitlines() if line.startswith("|")]
        heads = 0
        for table in self.tables.split("\n\n"):
            cells = {line.count("|") for line in table.splitlines() if line.startswith("|")}
            self.assertLessEqual(len(cells), 1)
            heads += len(cells)
        self.assertEqual(heads, 6)
        self.assertEqual(len(rows), 6 * 4)  # head, line, two sizes

    def test_labels_do_not_cover_each_other_nor_leave_the_picture(self):
        for places in ([100, 101, 102], [370, 375, 376, 376], [64, 64, 64, 64, 64]):
            apart = sorted(plot.labels_apart(places))
            self.assertTrue(all(b - a >= 14.9 for a, b in zip(apart, apart[1:])), apart)
            self.assertLess(apart[-1], plot.HEIGHT)

    def test_numbers_have_the_digits_they_need(self):
        for value, text in ((0.318, "0.318"), (1.68, "1.68"), (94.98, "95"), (1030.4, "1,030"),
                            (14.15e6, "14.2 M")):
            self.assertEqual(plot.number(value), text)


if __name__ == "__main__":
    unittest.main()
