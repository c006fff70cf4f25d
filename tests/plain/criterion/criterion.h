/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PLAIN_CRITERION_H
#define PLAIN_CRITERION_H

/* Warned about no more than the real one, which is a system header. */
#pragma GCC system_header

/*
 * criterion.h - as much of Criterion as our tests use, for builds in which Criterion cannot run: it
 * maps memory where the thread sanitizer has its own.
 *
 * Each test is a forked child. Results go, as TAP, where CRITERION_OUTPUTS says (tap:PATH).
 *
 * Knows:      Test, TestSuite, the assertions in use.
 * Knows not:  parameters, theories, filters, redirection: a test that needs them does not compile.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plain_options {
    int sentinel;
    void (*init)(void);
    void (*fini)(void);
    int signal;
    int exit_code;
    bool disabled;
    double timeout; /* seconds; 0: none */
    const char *description;
};

struct plain_test {
    const char *suite, *name; /* name NULL: options of a whole suite */
    void (*run)(void);
    struct plain_options options;
    struct plain_test *next;
};

void plain_add(struct plain_test *test);
__attribute__((noreturn, format(printf, 4, 5))) void
plain_fail(const char *file, int line, const char *what, const char *format, ...);
__attribute__((noreturn, format(printf, 1, 2))) void plain_skip(const char *format, ...);

#define PLAIN_ADD(symbol, ...)                                   \
    static struct plain_test symbol = __VA_ARGS__;               \
    __attribute__((constructor)) static void symbol##_add(void); \
    static void symbol##_add(void)                               \
    {                                                            \
        plain_add(&symbol);                                      \
    }

#define Test(Suite, Name, ...)                                                         \
    static void plain_run_##Suite##_##Name(void);                                      \
    PLAIN_ADD(plain_##Suite##_##Name, { .suite = #Suite,                               \
                                        .name = #Name,                                 \
                                        .run = plain_run_##Suite##_##Name,             \
                                        .options = { .sentinel = 0, ##__VA_ARGS__ } }) \
    static void plain_run_##Suite##_##Name(void)

#define TestSuite(Suite, ...) \
    PLAIN_ADD(plain_##Suite, { .suite = #Suite, .options = { .sentinel = 0, ##__VA_ARGS__ } })

#define cr_assert(what, ...)                                        \
    do {                                                            \
        if (!(what))                                                \
            plain_fail(__FILE__, __LINE__, #what, " " __VA_ARGS__); \
    } while (0)
#define cr_expect(what, ...) cr_assert(what, ##__VA_ARGS__)
#define cr_fail(...)         plain_fail(__FILE__, __LINE__, "failed", " " __VA_ARGS__)
#define cr_assert_fail(...)  cr_fail(__VA_ARGS__)
#define cr_skip_test(...)    plain_skip(" " __VA_ARGS__)
#define cr_skip(...)         plain_skip(" " __VA_ARGS__)

#define cr_assert_eq(a, b, ...)        cr_assert((a) == (b), ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...)       cr_assert((a) != (b), ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...)        cr_assert((a) < (b), ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...)       cr_assert((a) <= (b), ##__VA_ARGS__)
#define cr_assert_gt(a, b, ...)        cr_assert((a) > (b), ##__VA_ARGS__)
#define cr_assert_geq(a, b, ...)       cr_assert((a) >= (b), ##__VA_ARGS__)
#define cr_assert_not(a, ...)          cr_assert(!(a), ##__VA_ARGS__)
#define cr_assert_null(a, ...)         cr_assert((a) == NULL, ##__VA_ARGS__)
#define cr_assert_not_null(a, ...)     cr_assert((a) != NULL, ##__VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)    cr_assert(strcmp((a), (b)) == 0, ##__VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) cr_assert(memcmp((a), (b), (n)) == 0, ##__VA_ARGS__)

#endif
