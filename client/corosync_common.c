/* SPDX-License-Identifier: BSD-3-Clause */
/* corosync_common.c - libcorosync_common.so.4: what corotypes.h declares. */
#include <corosync/corotypes.h>

#include "synchrotron/types.h"

#define API __attribute__((visibility("default")))

API const char *cs_strerror(cs_error_t err)
{
    static const struct {
        cs_error_t error;
        const char *name;
    } names[] = {
        { CS_OK, "success" },
#define NAMED(error) { error, #error }
        NAMED(CS_ERR_LIBRARY),
        NAMED(CS_ERR_VERSION),
        NAMED(CS_ERR_INIT),
        NAMED(CS_ERR_TIMEOUT),
        NAMED(CS_ERR_TRY_AGAIN),
        NAMED(CS_ERR_INVALID_PARAM),
        NAMED(CS_ERR_NO_MEMORY),
        NAMED(CS_ERR_BAD_HANDLE),
        NAMED(CS_ERR_BUSY),
        NAMED(CS_ERR_ACCESS),
        NAMED(CS_ERR_NOT_EXIST),
        NAMED(CS_ERR_NAME_TOO_LONG),
        NAMED(CS_ERR_EXIST),
        NAMED(CS_ERR_NO_SPACE),
        NAMED(CS_ERR_INTERRUPT),
        NAMED(CS_ERR_NAME_NOT_FOUND),
        NAMED(CS_ERR_NO_RESOURCES),
        NAMED(CS_ERR_NOT_SUPPORTED),
        NAMED(CS_ERR_BAD_OPERATION),
        NAMED(CS_ERR_FAILED_OPERATION),
        NAMED(CS_ERR_MESSAGE_ERROR),
        NAMED(CS_ERR_QUEUE_FULL),
        NAMED(CS_ERR_QUEUE_NOT_AVAILABLE),
        NAMED(CS_ERR_BAD_FLAGS),
        NAMED(CS_ERR_TOO_BIG),
        NAMED(CS_ERR_NO_SECTIONS),
        NAMED(CS_ERR_CONTEXT_NOT_FOUND),
        NAMED(CS_ERR_TOO_MANY_GROUPS),
        NAMED(CS_ERR_SECURITY),
#undef NAMED
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (names[i].error == err)
            return names[i].name;
    return "unknown error";
}

struct errno_mapping {
    int number;
    cs_error_t error;
};

static cs_error_t map_errno(int result, const struct errno_mapping *mapping, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (mapping[i].number == -result)
            return mapping[i].error;
    return CS_ERR_LIBRARY;
}

API cs_error_t qb_to_cs_error(int result)
{
    static const struct errno_mapping mapping[] = {
        { EAGAIN, CS_ERR_TRY_AGAIN },      { ENOMSG, CS_ERR_TRY_AGAIN },
        { ENOBUFS, CS_ERR_TRY_AGAIN },     { ETIMEDOUT, CS_ERR_TRY_AGAIN },
        { EINVAL, CS_ERR_INVALID_PARAM },  { ENOMEM, CS_ERR_NO_MEMORY },
        { EBADF, CS_ERR_BAD_HANDLE },      { EBUSY, CS_ERR_BUSY },
        { EACCES, CS_ERR_ACCESS },         { ENOENT, CS_ERR_NOT_EXIST },
        { ENODEV, CS_ERR_NOT_EXIST },      { EOVERFLOW, CS_ERR_NAME_TOO_LONG },
        { EEXIST, CS_ERR_EXIST },          { ENOSPC, CS_ERR_NO_SPACE },
        { EINTR, CS_ERR_INTERRUPT },       { ENOSYS, CS_ERR_NOT_SUPPORTED },
        { ENOTSUP, CS_ERR_NOT_SUPPORTED }, { EBADE, CS_ERR_FAILED_OPERATION },
        { EBADMSG, CS_ERR_MESSAGE_ERROR }, { EMSGSIZE, CS_ERR_TOO_BIG },
        { E2BIG, CS_ERR_TOO_BIG },         { ETIME, CS_ERR_TIMEOUT },
    };
    return result >= 0 ? CS_OK : map_errno(result, mapping, ARRAY_COUNT(mapping));
}

API cs_error_t hdb_error_to_cs(int res)
{
    static const struct errno_mapping mapping[] = {
        { EBADF, CS_ERR_BAD_HANDLE },
        { ENOMEM, CS_ERR_NO_MEMORY },
        { EMFILE, CS_ERR_NO_RESOURCES },
        { EACCES, CS_ERR_ACCESS },
    };
    return res == 0 ? CS_OK : map_errno(res, mapping, ARRAY_COUNT(mapping));
}
