/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cpg.c - the 20 functions of the API: arguments are checked here, in the order that the contract
 * gives (pointers and names before the handle), and the work is done elsewhere.
 */
#include <corosync/cpg.h>

#include <string.h>

#include "connect.h"
#include "dispatch.h"
#include "handle.h"
#include "iterate.h"
#include "request.h"
#include "send.h"
#include "zcb_v1.h"

#define API __attribute__((visibility("default")))

static cs_error_t check_name(const struct cpg_name *name)
{
    if (!name)
        return CS_ERR_INVALID_PARAM;
    return name->length > CPG_MAX_NAME_LENGTH ? CS_ERR_NAME_TOO_LONG : CS_OK; /* N2 */
}

static cs_error_t open_handle(cpg_handle_t *handle, const cpg_model_v1_data_t *model, void *context)
{
    struct handle *h = handle_create();
    if (!h)
        return CS_ERR_NO_MEMORY;
    h->model = *model;
    cs_error_t error = connect_handle(h);
    if (error == CS_OK && handle_publish(h, context) != 0)
        error = CS_ERR_NO_MEMORY;
    if (error != CS_OK) {
        handle_destroy(h);
        return error;
    }
    *handle = h->value;
    return CS_OK;
}

static cs_error_t open_uncancelled(cpg_handle_t *handle, const cpg_model_v1_data_t *model,
                                   void *context)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    cs_error_t error = open_handle(handle, model, context);
    pthread_setcancelstate(before, NULL);
    return error;
}

API cs_error_t cpg_model_initialize(cpg_handle_t *handle, cpg_model_t model,
                                    cpg_model_data_t *model_data, void *context)
{
    cpg_model_v1_data_t v1 = { .model = CPG_MODEL_V1 };
    if (!handle || model != CPG_MODEL_V1)
        return CS_ERR_INVALID_PARAM;
    if (model_data)
        memcpy(&v1, model_data, sizeof(v1)); /* model 1 says what it points to */
    if (v1.flags & ~(unsigned)CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF)
        return CS_ERR_INVALID_PARAM;
    return open_uncancelled(handle, &v1, context);
}

API cs_error_t cpg_initialize(cpg_handle_t *handle, cpg_callbacks_t *callbacks)
{
    cpg_model_v1_data_t v1 = { .model = CPG_MODEL_V1 };
    if (!handle)
        return CS_ERR_INVALID_PARAM;
    if (callbacks) {
        v1.cpg_deliver_fn = callbacks->cpg_deliver_fn;
        v1.cpg_confchg_fn = callbacks->cpg_confchg_fn;
    }
    return open_uncancelled(handle, &v1, NULL);
}

/* The value is dead already. Who waits is woken last, when the membership has ended. */
static cs_error_t close_handle(struct handle *h)
{
    atomic_store_explicit(&h->finalized, true, memory_order_release);
    turn_close(&h->receive.turn);
    cs_error_t error = send_finalize(h);
    gate_shut(&h->control);
    gate_shut(&h->wake);
    iterate_end_all(h);
    return error == CS_ERR_LIBRARY ? error : CS_OK;
}

API cs_error_t cpg_finalize(cpg_handle_t handle)
{
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    cs_error_t error = table_retire(&handle_table, handle) ? close_handle(h) : CS_ERR_BAD_HANDLE;
    handle_release(h);
    return error;
}

API cs_error_t cpg_fd_get(cpg_handle_t handle, int *fd)
{
    if (!fd)
        return CS_ERR_INVALID_PARAM;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    *fd = h->wake.fd;
    handle_release(h);
    return CS_OK;
}

API cs_error_t cpg_max_atomic_msgsize_get(cpg_handle_t handle, uint32_t *size)
{
    if (!size)
        return CS_ERR_INVALID_PARAM;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    *size = h->hello.atomic_bytes_max;
    handle_release(h);
    return CS_OK;
}

/* Asked for at every turn by some programs: no use is counted. */
API cs_error_t cpg_context_get(cpg_handle_t handle, void **context)
{
    if (!context)
        return CS_ERR_INVALID_PARAM;
    return table_note_get(&handle_table, handle, context) ? CS_OK : CS_ERR_BAD_HANDLE;
}

API cs_error_t cpg_context_set(cpg_handle_t handle, void *context)
{
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    table_note_set(&handle_table, handle, context);
    handle_release(h);
    return CS_OK;
}

API cs_error_t cpg_dispatch(cpg_handle_t handle, cs_dispatch_flags_t dispatch_types)
{
    cs_error_t error;
    if (dispatch_types < CS_DISPATCH_ONE || dispatch_types > CS_DISPATCH_ONE_NONBLOCKING)
        return CS_ERR_INVALID_PARAM; /* X1 */
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    pthread_cleanup_push(handle_release_cleanup, h);
    error = dispatch(h, dispatch_types);
    pthread_cleanup_pop(0);
    return handle_end_call(h, error);
}

API cs_error_t cpg_join(cpg_handle_t handle, const struct cpg_name *group)
{
    cs_error_t error = check_name(group);
    if (error != CS_OK)
        return error;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    error = send_join(h, group);
    return handle_end_call(h, error);
}

API cs_error_t cpg_leave(cpg_handle_t handle, const struct cpg_name *group)
{
    cs_error_t error = check_name(group);
    if (error != CS_OK)
        return error;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    error = send_leave(h);
    return handle_end_call(h, error);
}

static bool is_guarantee(cpg_guarantee_t guarantee)
{
    return (unsigned)guarantee <= CPG_TYPE_SAFE;
}

API cs_error_t cpg_mcast_joined(cpg_handle_t handle, cpg_guarantee_t guarantee,
                                const struct iovec *iovec, unsigned int iov_len)
{
    if (!is_guarantee(guarantee) || (!iovec && iov_len > 0))
        return CS_ERR_INVALID_PARAM;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    cs_error_t error = send_message(h, guarantee, iovec, iov_len);
    return handle_end_call(h, error);
}

static cs_error_t ask_members(struct handle *h, const struct cpg_name *name,
                              struct cpg_address *list, int *entries)
{
    struct ctl_request question = { .type = CTL_MEMBERS };
    struct ctl_answer answer;
    request_set_name(&question, name);
    cs_error_t error = request(h, &question, &answer, NULL);
    if (error != CS_OK)
        return error;
    uint32_t count = min_u32(answer.members.count, CTL_MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++)
        list[i] = (struct cpg_address){ .nodeid = answer.members.entry[i].nodeid,
                                        .pid = answer.members.entry[i].pid };
    *entries = (int)count;
    return answer.members.count > CPG_MEMBERS_MAX ? CS_ERR_NO_SPACE : CS_OK;
}

API cs_error_t cpg_membership_get(cpg_handle_t handle, struct cpg_name *group_name,
                                  struct cpg_address *member_list, int *member_list_entries)
{
    cs_error_t error = check_name(group_name);
    if (error != CS_OK)
        return error;
    if (!member_list || !member_list_entries)
        return CS_ERR_INVALID_PARAM;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    error = ask_members(h, group_name, member_list, member_list_entries);
    return handle_end_call(h, error);
}

API cs_error_t cpg_local_get(cpg_handle_t handle, unsigned int *local_nodeid)
{
    if (!local_nodeid)
        return CS_ERR_INVALID_PARAM;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    bool alive = handle_alive(h);
    if (alive)
        *local_nodeid = h->hello.nodeid;
    return handle_end_call(h, alive ? CS_OK : CS_ERR_LIBRARY);
}

API cs_error_t cpg_flow_control_state_get(cpg_handle_t handle,
                                          cpg_flow_control_state_t *flow_control_enabled)
{
    if (!flow_control_enabled)
        return CS_ERR_INVALID_PARAM;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    *flow_control_enabled =
        send_is_refused(h) ? CPG_FLOW_CONTROL_ENABLED : CPG_FLOW_CONTROL_DISABLED;
    handle_release(h);
    return CS_OK;
}

static cs_error_t check_iteration(cpg_iteration_type_t type, const struct cpg_name *group,
                                  const cpg_iteration_handle_t *value)
{
    if (group && group->length > CPG_MAX_NAME_LENGTH)
        return CS_ERR_NAME_TOO_LONG;
    if (!value || type < CPG_ITERATION_NAME_ONLY || type > CPG_ITERATION_ALL)
        return CS_ERR_INVALID_PARAM;
    return (type == CPG_ITERATION_ONE_GROUP) == (group != NULL) ? CS_OK : CS_ERR_INVALID_PARAM;
}

API cs_error_t cpg_iteration_initialize(cpg_handle_t handle, cpg_iteration_type_t iteration_type,
                                        const struct cpg_name *group,
                                        cpg_iteration_handle_t *cpg_iteration_handle)
{
    cs_error_t error = check_iteration(iteration_type, group, cpg_iteration_handle);
    if (error != CS_OK)
        return error;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    error = iterate_begin(h, iteration_type, group, cpg_iteration_handle);
    return handle_end_call(h, error);
}

API cs_error_t cpg_iteration_next(cpg_iteration_handle_t handle,
                                  struct cpg_iteration_description_t *description)
{
    return description ? iterate_next(handle, description) : CS_ERR_INVALID_PARAM;
}

API cs_error_t cpg_iteration_finalize(cpg_iteration_handle_t handle)
{
    return iterate_end(handle);
}

API cs_error_t cpg_zcb_alloc(cpg_handle_t handle, size_t size, void **buffer)
{
    if (!buffer)
        return CS_ERR_INVALID_PARAM;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    cs_error_t error = handle_alive(h) ? zcb_v1_alloc(h, size, buffer) : CS_ERR_LIBRARY;
    return handle_end_call(h, error);
}

API cs_error_t cpg_zcb_free(cpg_handle_t handle, void *buffer)
{
    if (!buffer)
        return CS_ERR_INVALID_PARAM;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    cs_error_t error = zcb_v1_free(h, buffer);
    return handle_end_call(h, error);
}

API cs_error_t cpg_zcb_mcast_joined(cpg_handle_t handle, cpg_guarantee_t guarantee, void *msg,
                                    size_t msg_len)
{
    if (!is_guarantee(guarantee) || !msg)
        return CS_ERR_INVALID_PARAM;
    struct handle *h = handle_acquire(handle);
    if (!h)
        return CS_ERR_BAD_HANDLE;
    struct iovec iov = { .iov_base = msg, .iov_len = msg_len };
    cs_error_t error = zcb_v1_check(h, msg, msg_len);
    if (error == CS_OK)
        error = send_message(h, guarantee, &iov, 1);
    return handle_end_call(h, error);
}
