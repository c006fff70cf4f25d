/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef COROSYNC_CPG_H_DEFINED
#define COROSYNC_CPG_H_DEFINED

/*
 * cpg.h - closed process groups.
 *
 * A process opens a handle, joins a group with it and multicasts to the group; every member of the
 * group gets every message and every change of the membership, all in the same order. What happens
 * is told by callbacks, which run inside cpg_dispatch(); the descriptor of a handle polls readable
 * while there is something to dispatch.
 *
 * Names, values, layouts and symbol versions are those of Corosync's libcpg.so.4, so that programs
 * built against either run on the other; the text is ours. Compiles as C99 and C++, alone.
 *
 * Common to all functions: CS_ERR_BAD_HANDLE for a handle that is not open, CS_ERR_INVALID_PARAM
 * for a required pointer that is NULL, CS_ERR_LIBRARY when the local service is gone. Any function
 * may be called from any thread, and from callbacks.
 */

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <corosync/corotypes.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t cpg_handle_t; /* never 0 */
typedef uint64_t cpg_iteration_handle_t;

/* UNORDERED and FIFO are served as AGREED. SAFE waits until every member of the ring has it. */
typedef enum {
    CPG_TYPE_UNORDERED = 0,
    CPG_TYPE_FIFO = 1,
    CPG_TYPE_AGREED = 2,
    CPG_TYPE_SAFE = 3
} cpg_guarantee_t;

typedef enum {
    CPG_FLOW_CONTROL_DISABLED = 0,
    CPG_FLOW_CONTROL_ENABLED = 1 /* a send would give CS_ERR_TRY_AGAIN: dispatch, then look again */
} cpg_flow_control_state_t;

typedef enum {
    CPG_REASON_UNDEFINED = 0,
    CPG_REASON_JOIN = 1,
    CPG_REASON_LEAVE = 2,
    CPG_REASON_NODEDOWN = 3,
    CPG_REASON_NODEUP = 4,
    CPG_REASON_PROCDOWN = 5
} cpg_reason_t;

typedef enum {
    CPG_ITERATION_NAME_ONLY = 1, /* every group once */
    CPG_ITERATION_ONE_GROUP = 2, /* members of one group */
    CPG_ITERATION_ALL = 3        /* members of every group */
} cpg_iteration_type_t;

typedef enum { CPG_MODEL_V1 = 1 } cpg_model_t;

#define CPG_MAX_NAME_LENGTH 128
#define CPG_MEMBERS_MAX     128 /* of cpg_membership_get(); callbacks tell of all */

/* Any bytes, NUL too; the name is the first `length` of them. */
struct cpg_name {
    uint32_t length;
    char value[CPG_MAX_NAME_LENGTH];
};

struct cpg_address {
    uint32_t nodeid;
    uint32_t pid;
    uint32_t reason; /* cpg_reason_t; 0 in member lists */
};

struct cpg_iteration_description_t {
    struct cpg_name group;
    uint32_t nodeid;
    uint32_t pid;
};

struct cpg_ring_id {
    uint32_t nodeid; /* the lowest of the ring */
    uint64_t seq;
};

/* A message. `msg` may be changed in place; it is the callback's until it returns. */
typedef void (*cpg_deliver_fn_t)(cpg_handle_t handle, const struct cpg_name *group_name,
                                 uint32_t nodeid, uint32_t pid, void *msg, size_t msg_len);

/* A change of the members: one of left_list and joined_list has entries. */
typedef void (*cpg_confchg_fn_t)(cpg_handle_t handle, const struct cpg_name *group_name,
                                 const struct cpg_address *member_list, size_t member_list_entries,
                                 const struct cpg_address *left_list, size_t left_list_entries,
                                 const struct cpg_address *joined_list, size_t joined_list_entries);

/* A change of the ring of nodes. */
typedef void (*cpg_totem_confchg_fn_t)(cpg_handle_t handle, struct cpg_ring_id ring_id,
                                       uint32_t member_list_entries, const uint32_t *member_list);

typedef struct {
    cpg_deliver_fn_t cpg_deliver_fn;
    cpg_confchg_fn_t cpg_confchg_fn;
} cpg_callbacks_t;

typedef struct {
    cpg_model_t model;
} cpg_model_data_t;

/* The first join also tells the ring as it is then. */
#define CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF 0x01

typedef struct {
    cpg_model_t model;
    cpg_deliver_fn_t cpg_deliver_fn;
    cpg_confchg_fn_t cpg_confchg_fn;
    cpg_totem_confchg_fn_t cpg_totem_confchg_fn;
    unsigned int flags;
} cpg_model_v1_data_t;

/*
 * Open a handle. Callbacks may be NULL, and so may the structures that hold them. CS_ERR_TRY_AGAIN
 * while the service forms its first ring, CS_ERR_ACCESS for a user it does not serve.
 */
cs_error_t cpg_model_initialize(cpg_handle_t *handle, cpg_model_t model,
                                cpg_model_data_t *model_data, void *context);
cs_error_t cpg_initialize(cpg_handle_t *handle, cpg_callbacks_t *callbacks);

/* Close it. A member that has not left is seen to go with CPG_REASON_PROCDOWN. */
cs_error_t cpg_finalize(cpg_handle_t handle);

/* The descriptor to poll for POLLIN; not to be read. It is closed by cpg_finalize(). */
cs_error_t cpg_fd_get(cpg_handle_t handle, int *fd);

/* The largest message that is certain to go in one piece. */
cs_error_t cpg_max_atomic_msgsize_get(cpg_handle_t handle, uint32_t *size);

/* One pointer of the program's own for each handle. */
cs_error_t cpg_context_get(cpg_handle_t handle, void **context);
cs_error_t cpg_context_set(cpg_handle_t handle, void *context);

/*
 * Run callbacks: ONE waits for an event, ALL takes what there is, BLOCKING goes on for ever,
 * ONE_NONBLOCKING gives CS_ERR_TRY_AGAIN when there is none. CS_ERR_BAD_HANDLE when the handle is
 * finalized meanwhile.
 */
cs_error_t cpg_dispatch(cpg_handle_t handle, cs_dispatch_flags_t dispatch_types);

/* Ask to join or leave. It is done when the view with oneself in it, or in left_list, comes. */
cs_error_t cpg_join(cpg_handle_t handle, const struct cpg_name *group);
cs_error_t cpg_leave(cpg_handle_t handle, const struct cpg_name *group);

/* Send the entries, one behind the other, as one message. CS_ERR_TRY_AGAIN: nothing was sent. */
cs_error_t cpg_mcast_joined(cpg_handle_t handle, cpg_guarantee_t guarantee,
                            const struct iovec *iovec, unsigned int iov_len);

/* The members of any group; member_list has room for CPG_MEMBERS_MAX. */
cs_error_t cpg_membership_get(cpg_handle_t handle, struct cpg_name *group_name,
                              struct cpg_address *member_list, int *member_list_entries);

cs_error_t cpg_local_get(cpg_handle_t handle, unsigned int *local_nodeid);

cs_error_t cpg_flow_control_state_get(cpg_handle_t handle,
                                      cpg_flow_control_state_t *flow_control_enabled);

/* Buffers to send from: zeroed, aligned to 64 bytes, free to be changed once the send returned. */
cs_error_t cpg_zcb_alloc(cpg_handle_t handle, size_t size, void **buffer);
cs_error_t cpg_zcb_free(cpg_handle_t handle, void *buffer);
cs_error_t cpg_zcb_mcast_joined(cpg_handle_t handle, cpg_guarantee_t guarantee, void *msg,
                                size_t msg_len);

/* Walk through the groups of the cluster as they are now; CS_ERR_NO_SECTIONS at the end. */
cs_error_t cpg_iteration_initialize(cpg_handle_t handle, cpg_iteration_type_t iteration_type,
                                    const struct cpg_name *group,
                                    cpg_iteration_handle_t *cpg_iteration_handle);
cs_error_t cpg_iteration_next(cpg_iteration_handle_t handle,
                              struct cpg_iteration_description_t *description);
cs_error_t cpg_iteration_finalize(cpg_iteration_handle_t handle);

#ifdef __cplusplus
}
#endif

#endif
