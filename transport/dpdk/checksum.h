/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_CHECKSUM_H
#define TRANSPORT_DPDK_CHECKSUM_H

/*
 * checksum.h - the Internet checksum (RFC 1071), a piece at a time.
 *
 * A sum is taken over the bytes as they lie in memory, in whatever order the machine reads words:
 * the sum of swapped words is the swapped sum, so what checksum_finish() gives is copied into a
 * header with memcpy() and needs no swap.
 *
 * Knows:      bytes, and that a piece may begin in the middle of a word.
 * Knows not:  headers: which fields are summed is the caller's.
 * Invariants: C1  a running sum is below 2^63 while fewer than 2^31 bytes went in
 *             C2  zero stays zero only if all bytes are: 0 and 0xffff are told apart
 */

#include <sys/uio.h>

#include "synchrotron/types.h"

/* Of one piece at an even place of the packet. */
uint64_t checksum_add(uint64_t sum, const void *data, size_t bytes);

/**
 * Of consecutive pieces, the first at an even place, any of them of odd length or empty.
 *
 * Shapes:  piece[count]
 */
uint64_t checksum_add_pieces(uint64_t sum, const struct iovec *piece, int count);

/* To 16 bits, the carries added back. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum >> 32) + (sum & UINT32_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    return (uint16_t)((sum >> 16) + (sum & UINT16_MAX));
}

/* What goes into the header. */
static inline uint16_t checksum_finish(uint64_t sum)
{
    return (uint16_t)~checksum_fold(sum);
}

/* Were these bytes, their checksum field among them, written by somebody who summed them? */
static inline bool checksum_is_good(uint64_t sum)
{
    return checksum_fold(sum) == UINT16_MAX;
}

/* A 16-bit number of ours as a word of the sum. */
static inline uint64_t checksum_word(uint16_t value)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap16(value) : value;
}

#endif
