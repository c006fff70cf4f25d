/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ZCB_ZCB_H
#define ZCB_ZCB_H

/*
 * zcb.h - the door of the room: arenas, frame pools, queues between two parties, client channels
 * and the control protocol that sets them up, and tapes of what passes. Other rooms include this
 * file and no inner header.
 */

#include "arena.h"
#include "channel.h"
#include "ctl.h"
#include "pool.h"
#include "spsc.h"
#include "tape.h"
#include "wake.h"

#endif
