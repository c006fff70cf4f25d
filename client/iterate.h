/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLIENT_ITERATE_H
#define CLIENT_ITERATE_H

/*
 * iterate.h - snapshots of the groups of the cluster, and walking through them.
 *
 * A snapshot is private memory of the process. It belongs to its handle and ends with it.
 */

#include "handle.h"

/**
 * Take a snapshot. Arguments are valid; `group` is NULL but for CPG_ITERATION_ONE_GROUP.
 *
 * Errors:  CS_ERR_NO_MEMORY, CS_ERR_NO_RESOURCES, CS_ERR_LIBRARY, CS_ERR_BAD_HANDLE
 */
cs_error_t iterate_begin(struct handle *h, cpg_iteration_type_t type, const struct cpg_name *group,
                         cpg_iteration_handle_t *value);

/* CS_ERR_NO_SECTIONS at the end, CS_ERR_LIBRARY when the service is gone. */
cs_error_t iterate_next(cpg_iteration_handle_t value,
                        struct cpg_iteration_description_t *description);
cs_error_t iterate_end(cpg_iteration_handle_t value);

/* All iterations of a handle that ends. */
void iterate_end_all(struct handle *h);

#endif
