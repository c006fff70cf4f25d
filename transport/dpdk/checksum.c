/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum.h"

#include <string.h>

static uint64_t load64(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* Halves of a 64-bit word: their sum never carries out (C1), and two chains run side by side. */
static uint64_t halves(uint64_t word)
{
    return (word & UINT32_MAX) + (word >> 32);
}

/* Fewer than 8 bytes. A word that ends early counts its missing bytes as zero, in either order. */
static uint64_t tail(const uint8_t *at, size_t bytes)
{
    uint32_t word32 = 0;
    uint16_t word16 = 0, last = 0;

    if (bytes & 4)
        memcpy(&word32, at, 4);
    at += bytes & 4;
    if (bytes & 2)
        memcpy(&word16, at, 2);
    at += bytes & 2;
    if (bytes & 1)
        memcpy(&last, at, 1);
    return (uint64_t)word32 + word16 + last;
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint64_t other = 0;

    for (; bytes >= 32; at += 32, bytes -= 32) {
        sum += halves(load64(at)) + halves(load64(at + 8));
        other += halves(load64(at + 16)) + halves(load64(at + 24));
    }
    for (; bytes >= 8; at += 8, bytes -= 8)
        sum += halves(load64(at));
    return sum + other + tail(at, bytes);
}

uint64_t checksum_add_pieces(uint64_t sum, const struct iovec *piece, int count)
{
    size_t place = 0;

    for (int i = 0; i < count; i++) {
        if (place % 2 == 0)
            sum = checksum_add(sum, piece[i].iov_base, piece[i].iov_len);
        else /* its words straddle ours: the same sum with the bytes of each swapped */
            sum += __builtin_bswap16(
                checksum_fold(checksum_add(0, piece[i].iov_base, piece[i].iov_len)));
        place += piece[i].iov_len;
    }
    return sum;
}
