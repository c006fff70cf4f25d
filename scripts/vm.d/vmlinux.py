#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Takes the kernel proper out of a compressed image, once: a guest that is emulated would spend seconds
on it at every start. An image that is not compressed with xz is kept as it is, and boots all the same.

Usage: vmlinux.py IMAGE VMLINUX. Offsets are those of the x86 boot protocol, version 2.08 and later.
"""
import lzma
import struct
import sys

SETUP_SECTORS = 0x1F1
MAGIC = 0x202
PAYLOAD = 0x248  # offset and length, behind the sectors of the real mode part
XZ = b"\xfd7zXZ\0"


def kernel_proper(image):
    if image[MAGIC:MAGIC + 4] != b"HdrS":
        return image
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    start = ((image[SETUP_SECTORS] or 4) + 1) * 512 + offset
    payload = image[start:start + length]
    return lzma.LZMADecompressor().decompress(payload) if payload.startswith(XZ) else image


with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as target:
    target.write(kernel_proper(source.read()))
