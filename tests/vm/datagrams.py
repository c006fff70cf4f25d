# SPDX-License-Identifier: BSD-3-Clause
"""Usage: datagrams.py FROM COUNT TO... Sends so many from one address of this machine to each of the others, and
prints how many arrived there."""
import socket
import sys

SILENCE = 1  # seconds that say that no more comes; the way takes no time but the processor's

source, count = sys.argv[1], int(sys.argv[2])
for target in sys.argv[3:]:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind((target, 0))
    receiver.settimeout(SILENCE)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((source, 0))
    for _ in range(count):
        sender.sendto(b"x", receiver.getsockname())
    arrived = 0
    try:
        while True:
            receiver.recv(1)
            arrived += 1
    except TimeoutError:
        print(arrived)
