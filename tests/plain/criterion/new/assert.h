/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PLAIN_CRITERION_NEW_ASSERT_H
#define PLAIN_CRITERION_NEW_ASSERT_H

/* Warned about no more than the real one, which is a system header. */
#pragma GCC system_header

/*
 * assert.h - typed comparisons, to stand inside cr_assert(): eq(u32, a, b), all(...), zero(int, x).
 */

#include <criterion/criterion.h>

#define PLAIN_AS_int(a, op, b)   ((int)(a)op(int)(b))
#define PLAIN_AS_uint(a, op, b)  ((unsigned)(a)op(unsigned)(b))
#define PLAIN_AS_long(a, op, b)  ((long)(a)op(long)(b))
#define PLAIN_AS_ulong(a, op, b) ((unsigned long)(a)op(unsigned long)(b))
#define PLAIN_AS_i8(a, op, b)    ((int8_t)(a)op(int8_t)(b))
#define PLAIN_AS_i16(a, op, b)   ((int16_t)(a)op(int16_t)(b))
#define PLAIN_AS_i32(a, op, b)   ((int32_t)(a)op(int32_t)(b))
#define PLAIN_AS_i64(a, op, b)   ((int64_t)(a)op(int64_t)(b))
#define PLAIN_AS_u8(a, op, b)    ((uint8_t)(a)op(uint8_t)(b))
#define PLAIN_AS_u16(a, op, b)   ((uint16_t)(a)op(uint16_t)(b))
#define PLAIN_AS_u32(a, op, b)   ((uint32_t)(a)op(uint32_t)(b))
#define PLAIN_AS_u64(a, op, b)   ((uint64_t)(a)op(uint64_t)(b))
#define PLAIN_AS_sz(a, op, b)    ((size_t)(a)op(size_t)(b))
#define PLAIN_AS_chr(a, op, b)   ((char)(a)op(char)(b))
#define PLAIN_AS_dbl(a, op, b)   ((double)(a)op(double)(b))
#define PLAIN_AS_ptr(a, op, b)   ((const void *)(a)op(const void *)(b))
#define PLAIN_AS_str(a, op, b)   (strcmp((a), (b)) op 0)

#define PLAIN_PICK_1_OR_2(_1, _2, pick, ...) pick
#define PLAIN_TWO(op, T, a, b)               PLAIN_AS_##T(a, op, b)
#define PLAIN_PLAIN(op, a, b)                ((a)op(b))
#define PLAIN_2_OR_3(_1, _2, _3, pick, ...)  pick
#define PLAIN_COMPARE(op, ...)               PLAIN_2_OR_3(__VA_ARGS__, PLAIN_TWO, PLAIN_PLAIN, )(op, __VA_ARGS__)

#define eq(...) PLAIN_COMPARE(==, __VA_ARGS__)
#define ne(...) PLAIN_COMPARE(!=, __VA_ARGS__)
#define lt(...) PLAIN_COMPARE(<, __VA_ARGS__)
#define le(...) PLAIN_COMPARE(<=, __VA_ARGS__)
#define gt(...) PLAIN_COMPARE(>, __VA_ARGS__)
#define ge(...) PLAIN_COMPARE(>=, __VA_ARGS__)

#define PLAIN_ZERO_1(a)    (!(a))
#define PLAIN_ZERO_2(T, a) PLAIN_AS_##T(a, ==, 0)
#define zero(...)          PLAIN_PICK_1_OR_2(__VA_ARGS__, PLAIN_ZERO_2, PLAIN_ZERO_1, )(__VA_ARGS__)

#define not(a) (!(a))

/* Up to eight conditions. */
#define PLAIN_JOIN_1(op, a)                                    (a)
#define PLAIN_JOIN_2(op, a, ...)                               (a) op PLAIN_JOIN_1(op, __VA_ARGS__)
#define PLAIN_JOIN_3(op, a, ...)                               (a) op PLAIN_JOIN_2(op, __VA_ARGS__)
#define PLAIN_JOIN_4(op, a, ...)                               (a) op PLAIN_JOIN_3(op, __VA_ARGS__)
#define PLAIN_JOIN_5(op, a, ...)                               (a) op PLAIN_JOIN_4(op, __VA_ARGS__)
#define PLAIN_JOIN_6(op, a, ...)                               (a) op PLAIN_JOIN_5(op, __VA_ARGS__)
#define PLAIN_JOIN_7(op, a, ...)                               (a) op PLAIN_JOIN_6(op, __VA_ARGS__)
#define PLAIN_JOIN_8(op, a, ...)                               (a) op PLAIN_JOIN_7(op, __VA_ARGS__)
#define PLAIN_COUNT(_1, _2, _3, _4, _5, _6, _7, _8, pick, ...) pick
#define PLAIN_JOIN(op, ...)                                                           \
    (PLAIN_COUNT(__VA_ARGS__, PLAIN_JOIN_8, PLAIN_JOIN_7, PLAIN_JOIN_6, PLAIN_JOIN_5, \
                 PLAIN_JOIN_4, PLAIN_JOIN_3, PLAIN_JOIN_2, PLAIN_JOIN_1, )(op, __VA_ARGS__))
#define all(...) PLAIN_JOIN(&&, __VA_ARGS__)
#define any(...) PLAIN_JOIN(||, __VA_ARGS__)

#endif
