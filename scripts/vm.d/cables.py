# SPDX-License-Identifier: BSD-3-Clause
"""The cables of the network cards, pulled and plugged as the guest wishes.

The guest writes "CARD off" or "CARD on", a line each, and reads "done" or "failed WHY" when it is so.
QEMU does it, by its monitor, whose messages are JSON, a line each; they come in the order of our commands.
"""
import json
import re


class Cables:
    def __init__(self):
        self.guest = self.monitor = None

    def connect(self, guest, monitor):
        self.guest, self.monitor = guest, monitor
        self.tell("qmp_capabilities")

    def tell(self, what, **arguments):
        """A command with arguments is the guest's."""
        command = {"execute": what, "arguments": arguments, "id": "guest" if arguments else "ours"}
        self.monitor.sendall(json.dumps(command).encode() + b"\n")

    def take_wish(self, line):
        wish = re.fullmatch(r"(\d+) (on|off)", line)
        if wish:
            self.tell("set_link", name=f"nic{wish[1]}", up=wish[2] == "on")
        else:
            self.reply(f"failed {line!r} is not CARD on|off")

    def take_answer(self, line):
        answer = json.loads(line)
        if answer.get("id") == "guest":
            self.reply(f"failed {answer['error']['desc']}" if "error" in answer else "done")

    def reply(self, text):
        self.guest.sendall(text.encode() + b"\n")
