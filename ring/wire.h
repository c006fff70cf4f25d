/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RING_WIRE_H
#define RING_WIRE_H

/*
 * wire.h - every byte the ring puts on a wire. Little-endian.
 *
 * The ring's own author completes this table: token, join, commit, beacon, want and park.
 */

#include "synchrotron/types.h"

#endif
