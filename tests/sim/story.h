/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_STORY_H
#define TESTS_SIM_STORY_H

/*
 * story.h - histories written by hand, a line a thing that happens:
 *
 *   life 1                    node 1 starts; lives are counted from 0. `life 1 forgets`
 *   over 0                    life 0 ends
 *   tell 0 trans 4.1 1 2      its ring delivers: transitional, of ring 4.1, members
 *   tell 0 ring 8.1 1 2       a regular configuration
 *   tell 0 frame 3 2 77       frame 3 of the present ring, sent by 2, content 77; `... safe`
 *   submit 0 7 55             its ring takes a message on port 7, which is called 55
 *   piece 0 7 55              the next frame it tells of has that message; `... first`, `... last`,
 *                             `... between`: a piece of it
 *   handle 0                  a client connects in life 0; handles are counted from 0
 *   join 0 10 3               handle 0 joins group 3 as process 10: memberships from 0
 *   end 0 left                died, evicted, stopped, lost
 *   send 0 100                membership 0 sends 100 bytes: its messages are counted from 0
 *   view 0 3 1/10 +1/10.1 own    handle 0: group 3, members, who comes or goes; `own`, `bye`
 *   ring 0 8.1 1 2            handle 0: a ring event; `... first`
 *   hear 0 0.5                handle 0: message 5 of membership 0; `... short`: does not say so
 *   calm                      up to here nothing was wrong with anything
 *   settled                   the end
 */
#include "history.h"

/* Lines end with a newline. */
void story_read(struct history *h, const char *text);

#endif
