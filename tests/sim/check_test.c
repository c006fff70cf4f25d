/* SPDX-License-Identifier: BSD-3-Clause */
#include "check.h"
#include "story.h"

#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/*
 * The judges are judged: a true story they must believe, and of each false one they must say which
 * rule it breaks. A false story is the true one with one place changed.
 */

/* Two nodes apart, then together; a third process comes and goes; apart; together again. */
static const char *const truth = "life 1\n"
                                 "life 2\n"
                                 "tell 0 trans 0.0 1\n"
                                 "tell 0 ring 4.1 1\n"
                                 "tell 1 trans 0.0 2\n"
                                 "tell 1 ring 4.2 2\n"
                                 "handle 0\n"
                                 "handle 1\n"
                                 "join 0 10 3\n"
                                 "tell 0 frame 1 1 11\n"
                                 "view 0 3 1/10 +1/10.1 own\n"
                                 "ring 0 4.1 1 first\n"
                                 "join 1 20 3\n"
                                 "tell 1 frame 1 2 21\n"
                                 "view 1 3 2/20 +2/20.1 own\n"
                                 "ring 1 4.2 2 first\n"
                                 "send 0 100\n"
                                 "send 0 3\n"
                                 "tell 0 frame 2 1 12\n"
                                 "hear 0 0.0\n"
                                 "hear 0 0.1 short\n"
                                 "tell 0 trans 4.1 1\n"
                                 "tell 0 ring 8.1 1 2\n"
                                 "tell 1 trans 4.2 2\n"
                                 "tell 1 ring 8.1 1 2\n"
                                 "view 0 3 1/10 2/20 +2/20.4\n"
                                 "ring 0 8.1 1 2\n"
                                 "view 1 3 1/10 2/20 +1/10.4\n"
                                 "ring 1 8.1 1 2\n"
                                 "send 0 7\n"
                                 "send 0 200\n"
                                 "tell 0 frame 3 1 31\n"
                                 "tell 1 frame 3 1 31\n"
                                 "hear 0 0.2 short\n"
                                 "hear 0 0.3\n"
                                 "hear 1 0.2 short\n"
                                 "hear 1 0.3\n"
                                 "send 1 50\n" /* having heard 0.3 */
                                 "tell 0 frame 4 2 32 safe\n"
                                 "tell 1 frame 4 2 32 safe\n"
                                 "hear 0 1.0\n"
                                 "hear 1 1.0\n"
                                 "handle 1\n"
                                 "join 2 21 3\n"
                                 "tell 0 frame 5 2 33\n"
                                 "tell 1 frame 5 2 33\n"
                                 "view 0 3 1/10 2/20 2/21 +2/21.1\n"
                                 "view 1 3 1/10 2/20 2/21 +2/21.1\n"
                                 "view 2 3 1/10 2/20 2/21 +2/21.1 own\n"
                                 "ring 2 8.1 1 2 first\n"
                                 "send 2 40\n"
                                 "send 0 60\n"
                                 "tell 0 frame 6 2 34\n"
                                 "tell 1 frame 6 2 34\n"
                                 "hear 0 2.0\n"
                                 "hear 1 2.0\n"
                                 "hear 2 2.0\n"
                                 "tell 0 frame 7 1 35\n"
                                 "tell 1 frame 7 1 35\n"
                                 "hear 0 0.4\n"
                                 "hear 1 0.4\n"
                                 "hear 2 0.4\n"
                                 "end 2 left\n"
                                 "tell 0 frame 8 2 36\n"
                                 "tell 1 frame 8 2 36\n"
                                 "view 0 3 1/10 2/20 -2/21.2\n"
                                 "view 1 3 1/10 2/20 -2/21.2\n"
                                 "view 2 3 1/10 2/20 -2/21.2 bye\n"
                                 "calm\n"
                                 "send 0 80\n"
                                 "send 1 90\n"
                                 "tell 0 trans 8.1 1\n"
                                 "tell 0 frame 9 1 37\n"
                                 "tell 1 frame 9 1 37\n"
                                 "hear 0 0.5\n"
                                 "hear 1 0.5\n"
                                 "tell 1 trans 8.1 2\n"
                                 "tell 1 frame 10 2 38\n"
                                 "hear 1 1.1\n"
                                 "tell 0 ring 12.1 1\n"
                                 "tell 1 ring 12.2 2\n"
                                 "view 0 3 1/10 -2/20.3\n"
                                 "ring 0 12.1 1\n"
                                 "view 1 3 2/20 -1/10.3\n"
                                 "ring 1 12.2 2\n"
                                 "ring 2 12.2 2\n"
                                 "tell 0 trans 12.1 1\n"
                                 "tell 0 ring 16.1 1 2\n"
                                 "tell 1 trans 12.2 2\n"
                                 "tell 1 ring 16.1 1 2\n"
                                 "view 0 3 1/10 2/20 +2/20.4\n"
                                 "ring 0 16.1 1 2\n"
                                 "view 1 3 1/10 2/20 +1/10.4\n"
                                 "ring 1 16.1 1 2\n"
                                 "ring 2 16.1 1 2\n"
                                 "send 1 70\n"
                                 "tell 0 frame 3 2 41\n"
                                 "tell 1 frame 3 2 41\n"
                                 "hear 0 1.2\n"
                                 "hear 1 1.2\n"
                                 "settled\n";

/* A node that is started again, before the other one notices. */
static const char *const restart = "life 1\n"
                                   "life 2\n"
                                   "tell 0 trans 0.0 1\n"
                                   "tell 0 ring 4.1 1 2\n"
                                   "tell 1 trans 0.0 2\n"
                                   "tell 1 ring 4.1 1 2\n"
                                   "handle 0\n"
                                   "handle 1\n"
                                   "join 0 10 0\n"
                                   "join 1 20 0\n"
                                   "view 0 0 1/10 +1/10.1 own\n"
                                   "ring 0 4.1 1 2 first\n"
                                   "view 0 0 1/10 2/20 +2/20.1\n"
                                   "view 1 0 1/10 2/20 +2/20.1 own\n"
                                   "ring 1 4.1 1 2 first\n"
                                   "calm\n"
                                   "over 0\n"
                                   "end 0 lost\n"
                                   "life 1\n"
                                   "tell 2 trans 0.0 1\n"
                                   "tell 2 ring 8.1 1\n"
                                   "handle 2\n"
                                   "join 2 11 0\n"
                                   "view 2 0 1/11 +1/11.1 own\n"
                                   "ring 2 8.1 1 first\n"
                                   "tell 1 trans 4.1 2\n"
                                   "tell 1 ring 12.1 1 2\n"
                                   "tell 2 trans 8.1 1\n"
                                   "tell 2 ring 12.1 1 2\n"
                                   "view 1 0 2/20 -1/10.3\n"
                                   "view 1 0 1/11 2/20 +1/11.4\n"
                                   "ring 1 12.1 1 2\n"
                                   "view 2 0 1/11 2/20 +2/20.4\n"
                                   "ring 2 12.1 1 2\n"
                                   "settled\n";

/* Two nodes in one ring, then alone: what each ring takes on its ports, and delivers. 50 is sent
 * twice; 70 comes in pieces. */
static const char *const order = "life 1\n"
                                 "life 2\n"
                                 "tell 0 trans 0.0 1\n"
                                 "tell 0 ring 4.1 1 2\n"
                                 "tell 1 trans 0.0 2\n"
                                 "tell 1 ring 4.1 1 2\n"
                                 "submit 0 7 50\n"
                                 "submit 0 7 51\n"
                                 "submit 0 8 70\n"
                                 "submit 0 7 50\n"
                                 "submit 0 7 52\n"
                                 "submit 1 7 60\n"
                                 "piece 0 7 50\n"
                                 "piece 0 7 51\n"
                                 "tell 0 frame 1 1 11\n"
                                 "piece 0 8 70 first\n"
                                 "piece 0 7 50\n"
                                 "tell 0 frame 2 1 12\n"
                                 "piece 0 8 70 between\n"
                                 "piece 0 7 52\n"
                                 "tell 0 frame 3 1 13\n"
                                 "piece 0 8 70 last\n"
                                 "tell 0 frame 4 1 14\n"
                                 "piece 0 7 60\n"
                                 "tell 0 frame 5 2 15\n"
                                 "piece 1 7 50\n"
                                 "piece 1 7 51\n"
                                 "tell 1 frame 1 1 11\n"
                                 "piece 1 8 70 first\n"
                                 "piece 1 7 50\n"
                                 "tell 1 frame 2 1 12\n"
                                 "submit 0 7 53\n"
                                 "tell 1 trans 4.1 2\n"
                                 "piece 1 8 70 last\n" /* a frame is missing before it */
                                 "tell 1 frame 4 1 14\n"
                                 "piece 1 7 60\n"
                                 "tell 1 frame 5 2 15\n"
                                 "tell 1 ring 8.2 2\n"
                                 "tell 0 trans 4.1 1\n"
                                 "piece 0 7 53\n"
                                 "tell 0 frame 6 1 16\n"
                                 "tell 0 ring 8.1 1\n"
                                 "submit 0 8 71\n"
                                 "submit 1 7 61\n"
                                 "piece 0 8 71\n"
                                 "tell 0 frame 1 1 17\n"
                                 "piece 1 7 61\n"
                                 "tell 1 frame 1 2 18\n"
                                 "settled\n";

struct lie {
    const char *was, *is; /* the first place where it says so */
    const char *rule;
};

/* "" for what is left out. */
static const struct lie of_rings[] = {
    { "tell 1 frame 3 1 31\n", "tell 1 frame 3 1 99\n", "E3" },
    { "tell 1 frame 3 1 31\n", "tell 1 frame 3 2 31\n", "E3" },
    { "tell 1 frame 3 1 31\n", "", "E4" },
    { "tell 0 frame 3 1 31\n", "tell 0 frame 3 3 31\n", "E1" },
    { "tell 0 frame 4 2 32 safe\n", "tell 0 frame 4 2 32 safe\ntell 0 frame 4 2 32 safe\n", "E2" },
    { "tell 0 frame 7 1 35\n", "", "E4" },
    { "tell 0 frame 5 2 33\n", "tell 0 frame 5 2 33 4.1\n", "E5" },
    { "tell 1 frame 9 1 37\n", "tell 1 frame 9 2 37\n", "E3" },
    { "tell 0 trans 8.1 1\ntell 0 frame 9 1 37\n", "tell 0 frame 9 1 37 safe\ntell 0 trans 8.1 1\n",
      "E3" },
    { "tell 0 trans 4.1 1\n", "", "E7" },
    { "tell 0 trans 4.1 1\n", "tell 0 trans 4.1 1 2\n", "E7" },
    { "tell 0 trans 4.1 1\n", "tell 0 trans 4.1 1\ntell 0 trans 4.1 1\n", "E7" },
    { "tell 0 ring 8.1 1 2\n", "tell 0 ring 8.1 1\n", "E1" },
    { "tell 0 ring 8.1 1 2\n", "tell 0 ring 8.1 2\n", "E7" },
    { "tell 0 ring 8.1 1 2\n", "tell 0 ring 4.1 1 2\n", "E7" },
    { "tell 0 ring 8.1 1 2\n", "tell 0 ring 8.2 1 2\n", "E7" },
    { "tell 0 frame 3 2 41\n", "", "E9" },
};

static const struct lie of_messages[] = {
    { "hear 1 0.3\n", "hear 1 0.3\nhear 1 0.3\n", "D2" },
    { "hear 1 0.3\n", "", "D10" },
    { "hear 1 0.4\n", "", "D10 gap" },
    { "hear 1 0.2 short\nhear 1 0.3\n", "hear 1 0.3\nhear 1 0.2 short\n", "D10" },
    { "hear 0 1.0\n", "hear 0 1.9\n", "D10" },
    { "hear 0 2.0\n", "hear 0 1.0\n", "D2" },
    { "hear 0 0.1 short\n", "hear 0 0.2 short\n", "D10" },
    { "hear 2 0.4\n", "hear 2 0.4\nview 2 3 1/10 2/20 -2/21.2 bye\nhear 2 0.4\n", "D8" },
    { "view 1 3 2/20 -1/10.3\n", "view 1 3 2/20 -1/10.3\nhear 1 0.5\n", "D8" },
    { "hear 2 2.0\n", "", "D6" },
    { "hear 1 2.0\n", "", "D6" },
    { "hear 0 1.2\n", "hear 0 1.0\n", "D10 again" },
    { "hear 2 2.0\ntell 0 frame 7 1 35\ntell 1 frame 7 1 35\nhear 0 0.4\nhear 1 0.4\nhear 2 0.4\n",
      "tell 0 frame 7 1 35\ntell 1 frame 7 1 35\nhear 0 0.4\nhear 1 0.4\nhear 2 0.4\nhear 2 2.0\n",
      "D1" },
    /* an answer before what it answers */
    { "hear 0 0.2 short\nhear 0 0.3\nhear 1 0.2 short\nhear 1 0.3\nsend 1 50\n"
      "tell 0 frame 4 2 32 safe\ntell 1 frame 4 2 32 safe\nhear 0 1.0\n",
      "hear 1 0.2 short\nhear 1 0.3\nsend 1 50\n"
      "tell 0 frame 4 2 32 safe\ntell 1 frame 4 2 32 safe\nhear 0 1.0\nhear 0 0.2 short\nhear 0 "
      "0.3\n",
      "D1" },
    { "hear 0 0.3\n", "hear 0 0.3\nhear 0 1.0\n", "D10" },
    { "hear 0 0.5\n", "", "E9" },
};

static const struct lie of_views[] = {
    { "view 0 3 1/10 2/20 +2/20.4\n", "view 0 3 2/20 1/10 +2/20.4\n", "V1" },
    { "view 0 3 1/10 2/20 +2/20.4\n", "view 0 3 1/10 +2/20.4\n", "V1" },
    { "view 0 3 1/10 2/20 +2/20.4\n", "view 0 3 1/10 2/19 2/20 +2/20.4\n", "V1" },
    { "view 0 3 1/10 2/20 +2/20.4\n", "view 0 3 1/10.1 2/20 +2/20.4\n", "V1" },
    { "view 0 3 1/10 2/20 +2/20.4\n", "view 0 3 1/10 2/20 +2/20.3\n", "V2" },
    { "view 0 3 1/10 2/20 +2/20.4\n", "view 0 3 2/20 +2/20.4 -1/10.3\n", "V3" },
    { "view 0 3 1/10 2/20 +2/20.4\n", "view 0 3 1/10 2/20\n", "V3" },
    { "view 0 3 1/10 2/20 2/21 +2/21.1\n", "view 0 3 1/10 2/20 2/21 2/22 +2/21.1 +2/22.1\n", "V5" },
    { "view 0 3 1/10 -2/20.3\n", "", "V6" },
    { "view 0 3 1/10 -2/20.3\n", "view 0 3 1/10 -2/20.5\n", "V10" },
    { "view 0 3 1/10 2/20 -2/21.2\n", "view 0 3 1/10 2/20 -2/21.5\n", "V10" },
    { "view 0 3 1/10 2/20 2/21 +2/21.1\n", "view 0 3 1/10 2/20 2/29 +2/29.1\n", "V10" },
    { "view 0 3 1/10 -2/20.3\nring 0 12.1 1\n", "ring 0 12.1 1\nview 0 3 1/10 -2/20.3\n", "V6" },
    { "view 1 3 2/20 +2/20.1 own\n", "view 1 3 2/20 +2/20.1\n", "X7" },
    { "view 2 3 1/10 2/20 -2/21.2 bye\n", "view 2 3 1/10 2/20 -2/21.2\n", "X7" },
    { "view 2 3 1/10 2/20 -2/21.2 bye\n", "", "V6" },
    { "hear 0 0.1 short\n", "view 0 3 1/10 +1/10.1 own\n", "V4" },
    { "view 0 3 1/10 2/20 2/21 +2/21.1\n", "view 0 2 1/10 2/20 2/21 +2/21.1\n", "X7" },
    { "calm\n", "", "" }, /* nothing of it is calm then */
    { "settled\n", "view 0 3 1/10 -2/20.3\nview 0 3 1/10 2/20 +2/20.4\nsettled\n", "R2" },
    { "ring 0 16.1 1 2\n", "ring 0 16.1 1 2\nview 0 3 1/10 -2/20.5\n", "V10" },
    { "ring 0 16.1 1 2\n", "hear 0 1.2\nring 0 16.1 1 2\n", "R2" },
    { "ring 0 4.1 1 first\n", "", "R3" },
    { "ring 0 4.1 1 first\n", "ring 0 4.1 1 first\nring 0 4.1 1 first\n", "R3" },
    { "ring 1 12.2 2\n", "ring 1 8.2 2\n", "R4" },
    { "ring 1 12.2 2\n", "ring 1 12.1 2\n", "R4" },
    { "ring 0 8.1 1 2\n", "ring 0 8.1 2 1\n", "R4" },
    { "ring 0 8.1 1 2\n", "ring 0 9.1 1 2\n", "R1" },
};

static const struct lie of_what_is_told_together[] = {
    { "ring 2 12.2 2\n", "", "R1" },
    { "ring 2 16.1 1 2\n", "", "R1" },
    { "hear 0 1.2\n", "", "D4" },
    { "hear 1 1.2\n", "", "E9" },
    /* delivered here in one ring, there in another */
    { "hear 1 0.5\ntell 1 trans 8.1 2\ntell 1 frame 10 2 38\nhear 1 1.1\ntell 0 ring 12.1 1\n"
      "tell 1 ring 12.2 2\nview 0 3 1/10 -2/20.3\nring 0 12.1 1\n",
      "hear 1 0.5\ntell 1 trans 8.1 2\ntell 1 frame 10 2 38\nhear 1 1.1\ntell 0 ring 12.1 1\n"
      "tell 1 ring 12.2 2\nview 0 3 1/10 -2/20.3\nring 0 12.1 1\nsend 0 10\nhear 0 0.6\n",
      "" },
    { "ring 0 4.1 1 first\n", "", "R3" },
    { "view 2 3 1/10 2/20 2/21 +2/21.1 own\nring 2 8.1 1 2 first\nsend 2 40\n",
      "send 1 33\nhear 1 1.1\nview 2 3 1/10 2/20 2/21 +2/21.1 own\nring 2 8.1 1 2 first\nsend 2 "
      "40\n",
      "E9" },
};

static const struct lie of_order[] = {
    { "piece 1 7 50\npiece 1 7 51\n", "piece 1 7 51\npiece 1 7 50\n", "E8" },
    { "piece 0 7 50\npiece 0 7 51\n", "piece 0 7 51\npiece 0 7 50\n", "E8" },
    { "piece 1 7 51\ntell 1 frame 1 1 11\npiece 1 8 70 first\npiece 1 7 50\n",
      "piece 1 7 51\ntell 1 frame 1 1 11\npiece 1 8 70 first\npiece 1 7 52\n",
      "E8" }, /* left out */
    { "piece 1 7 51\n", "piece 1 7 51\npiece 1 7 51\n", "E8" },
    { "piece 1 7 60\n", "piece 1 7 60\npiece 1 7 60\n", "E8" }, /* twice, though behind a gap */
    { "piece 1 7 61\n", "piece 1 7 60\n", "E8" },               /* again, in another ring */
    { "piece 1 7 51\n", "piece 1 7 59\n", "E8" },               /* nobody sent it */
    { "piece 1 8 70 first\n", "piece 1 9 70 first\n", "E1" },
    { "piece 0 8 70 first\n", "", "E8" },
    { "piece 1 8 70 first\n", "piece 1 8 70 between\n", "" }, /* not the end of it */
    { "piece 0 7 53\n", "", "E1" },
    { "piece 0 8 71\n", "", "E1" },
    { "submit 0 8 71\n", "submit 0 7 54\nsubmit 0 8 71\n", "E1" },
    /* who begins with a message that was sent twice may mean the later one */
    { "piece 1 7 50\npiece 1 7 51\ntell 1 frame 1 1 11\npiece 1 8 70 first\npiece 1 7 50\n",
      "tell 1 frame 1 1 11\npiece 1 8 70 first\npiece 1 7 50\npiece 1 7 52\n", "" },
    { "piece 1 7 50\npiece 1 7 51\ntell 1 frame 1 1 11\npiece 1 8 70 first\npiece 1 7 50\n",
      "tell 1 frame 1 1 11\npiece 1 8 70 first\npiece 1 7 50\npiece 1 7 53\n", "E8" },
};

static const struct lie of_restarts[] = {
    { "tell 1 trans 4.1 2\n", "tell 1 trans 4.1 1 2\n", "E7" },
    { "tell 2 ring 8.1 1\n", "tell 2 ring 4.1 1\n", "E7" },
    { "view 1 0 2/20 -1/10.3\n", "", "V9" },
    { "view 1 0 2/20 -1/10.3\nview 1 0 1/11 2/20 +1/11.4\n", "", "V10" },
    { "view 1 0 1/11 2/20 +1/11.4\n", "", "V8" },
    { "view 1 0 2/20 -1/10.3\nview 1 0 1/11 2/20 +1/11.4\n",
      "view 1 0 1/10 1/11 2/20 +1/11.4\nview 1 0 1/11 2/20 -1/10.3\n", "V9" },
    { "ring 2 8.1 1 first\n", "ring 2 3.1 1 first\n", "R1" },
};

static char *changed(const char *story, const struct lie *lie)
{
    const char *at = strstr(story, lie->was);
    cr_assert(at != NULL, "no such line: %s", lie->was);
    char *text = calloc(1, strlen(story) + strlen(lie->is) + 1);
    memcpy(text, story, (size_t)(at - story));
    strcat(text, lie->is);
    strcat(text, at + strlen(lie->was));
    return text;
}

typedef bool (*judge_fn)(const struct history *h, struct verdict *v);

static void expect_seen(const char *story, const struct lie *lies, size_t count, judge_fn judge)
{
    for (size_t i = 0; i < count; i++) {
        struct history h;
        struct verdict v = { 0 };
        char *text = changed(story, &lies[i]);
        story_read(&h, text);
        bool good = judge(&h, &v);
        cr_expect(eq(int, good, !lies[i].rule[0]), "'%s' for '%s': %s", lies[i].is, lies[i].was,
                  v.text);
        cr_expect(eq(str, v.rule, (char *)lies[i].rule), "'%s' for '%s': %s", lies[i].is,
                  lies[i].was, v.text);
        history_clear(&h);
        free(text);
    }
}

Test(check, a_true_story_is_believed)
{
    struct history h;
    struct verdict v = { 0 };
    story_read(&h, truth);
    cr_assert(check_history(&h, &v), "%s: %s", v.rule, v.text);
    history_clear(&h);
    story_read(&h, restart);
    cr_assert(check_history(&h, &v), "%s: %s", v.rule, v.text);
    history_clear(&h);
}

Test(check, a_story_that_is_not_over_is_believed_at_every_line)
{
    for (const char *end = truth; (end = strchr(end, '\n')); end++) {
        struct history h;
        struct verdict v = { 0 };
        char *text = strndup(truth, (size_t)(end - truth) + 1);
        story_read(&h, text);
        cr_expect(check_history(&h, &v), "%s: %s, after %s", v.rule, v.text, text);
        history_clear(&h);
        free(text);
    }
}

Test(check, E1_to_E7_are_asked_of_rings)
{
    expect_seen(truth, of_rings, ARRAY_COUNT(of_rings), check_ring);
}

Test(check, E8_is_asked_of_what_rings_take)
{
    struct history h;
    struct verdict v = { 0 };
    story_read(&h, order);
    cr_assert(check_order(&h, &v), "%s: %s", v.rule, v.text);
    history_clear(&h);
    expect_seen(order, of_order, ARRAY_COUNT(of_order), check_order);
}

Test(check, D1_to_D10_are_asked_of_messages)
{
    expect_seen(truth, of_messages, ARRAY_COUNT(of_messages), check_delivery);
}

Test(check, V1_to_V10_are_asked_of_views)
{
    expect_seen(truth, of_views, ARRAY_COUNT(of_views), check_views);
}

Test(check, R1_V4_and_D4_are_asked_of_all_together)
{
    expect_seen(truth, of_what_is_told_together, ARRAY_COUNT(of_what_is_told_together),
                check_history);
}

Test(check, V9_is_asked_of_restarts)
{
    expect_seen(restart, of_restarts, ARRAY_COUNT(of_restarts), check_history);
}
