/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_VERDICT_H
#define TESTS_SIM_VERDICT_H

/*
 * verdict.h - the first rule that was seen broken, by the name the contract or the architecture
 * gives it.
 */
#include <stdarg.h>
#include <string.h>

#include "synchrotron/types.h"

struct verdict {
    bool failed;
    char rule[24];
    char text[512];
};

/* Keeps what was broken first. Returns false, for `return verdict_broken(...)`. */
__attribute__((format(printf, 3, 4), cold)) static inline bool
verdict_broken(struct verdict *v, const char *rule, const char *format, ...)
{
    va_list arguments;
    if (v->failed)
        return false;
    v->failed = true;
    snprintf(v->rule, sizeof(v->rule), "%s", rule);
    va_start(arguments, format);
    vsnprintf(v->text, sizeof(v->text), format, arguments);
    va_end(arguments);
    return false;
}

#endif
