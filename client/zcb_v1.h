/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_ZCB_V1_H
#define CLIENT_ZCB_V1_H

/*
 * zcb_v1.h - cpg_zcb_* on a model 1 handle: private memory, copied when it is sent.
 *
 * The promise of that model lets the caller rewrite or free the buffer when the send returns.
 *
 * Invariants: Z1  a pointer is believed only after it was found among the live buffers
 */

#include "handle.h"

/* Zeroed, aligned to 64 bytes. CS_ERR_NO_MEMORY. */
cs_error_t zcb_v1_alloc(struct handle *h, size_t size, void **buffer);

/* CS_ERR_INVALID_PARAM: no live buffer of this process. */
cs_error_t zcb_v1_free(struct handle *h, void *buffer);

/* May `bytes` be sent from `buffer`? CS_ERR_INVALID_PARAM otherwise. */
cs_error_t zcb_v1_check(struct handle *h, const void *buffer, size_t bytes);

/* Free all buffers of a handle that nobody uses any more. */
void zcb_v1_destroy_all(struct handle *h);

#endif
