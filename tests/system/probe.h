/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SYSTEM_PROBE_H
#define SYSTEM_PROBE_H

/*
 * probe.h - a program of named cases that pytest runs one by one against real daemons, and checks
 * that say where they failed.
 *
 *   PROGRAM --list          the names of its cases
 *   PROGRAM CASE [WORD...]  run one; status 0: every check held
 *
 * A case that hangs is ended after SYNCHROTRON_TEST_LIMIT seconds.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <corosync/cpg.h>

struct probe_case {
    const char *name;
    void (*run)(void);
    struct probe_case *next;
};

#define CASE(label)                                                    \
    static void label(void);                                           \
    __attribute__((constructor)) static void add_##label(void)         \
    {                                                                  \
        static struct probe_case c = { .name = #label, .run = label }; \
        probe_add(&c);                                                 \
    }                                                                  \
    static void label(void)

/* Ends the process when it does not hold: for what the rest of a case builds upon. */
#define CHECK(condition)                               \
    do {                                               \
        if (!(condition))                              \
            probe_end(__FILE__, __LINE__, #condition); \
    } while (0)

/* Goes on, and fails the case in the end: one line of a table. */
#define EXPECT(condition)                               \
    do {                                                \
        if (!(condition))                               \
            probe_note(__FILE__, __LINE__, #condition); \
    } while (0)
#define EXPECT_CS(call, wanted) probe_compare(__FILE__, __LINE__, #call, (call), (wanted))

/* Until it holds, or the time is over. */
#define WAIT_FOR(condition)                                            \
    do {                                                               \
        for (uint64_t end = probe_deadline_ns(); !(condition);) {      \
            if (probe_now_ns() > end)                                  \
                probe_end(__FILE__, __LINE__, "in time: " #condition); \
            probe_nap_us(200);                                         \
        }                                                              \
    } while (0)

/* A call repeated while its answer is CS_ERR_TRY_AGAIN. */
#define TAKEN(call)                                  \
    ({                                               \
        cs_error_t taken;                            \
        while ((taken = (call)) == CS_ERR_TRY_AGAIN) \
            probe_nap_us(200);                       \
        taken;                                       \
    })

void probe_add(struct probe_case *c);
void probe_end(const char *file, int line, const char *what) __attribute__((noreturn));
void probe_note(const char *file, int line, const char *what);
void probe_compare(const char *file, int line, const char *call, cs_error_t got, cs_error_t wanted);

/* The n-th word behind the name of the case; NULL: there are fewer. */
const char *probe_word(int n);

/* Say a line to the test, and wait for a line from it. */
void probe_say(const char *line);
void probe_hear(void);

uint64_t probe_now_ns(void);
uint64_t probe_deadline_ns(void);
void probe_nap_us(unsigned us);
/* Numbers at random from a seed. */
uint32_t probe_draw(uint64_t *seed, uint32_t below);

/* Open descriptors of this process. */
int probe_descriptors(void);

/* A child that dies with us; its status 0 or a failure. */
int probe_fork(void (*run)(void *), void *argument);
void probe_join_child(int pid);
/* In a child: its checks held, or not. */
void probe_exit(void) __attribute__((noreturn));

#endif
