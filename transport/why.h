/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_WHY_H
#define TRANSPORT_WHY_H

/*
 * why.h - the one line that open() leaves when it fails.
 */

#include <stddef.h>

/* Write the line, give back `error`: return transport_why(why, why_bytes, -EINVAL, ...); */
__attribute__((format(printf, 4, 5))) int transport_why(char *why, size_t why_bytes, int error,
                                                        const char *format, ...);

#endif
