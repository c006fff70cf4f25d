/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "gate.h"
#include "turn.h"

static struct turn turn;

static void *take_waiting(void *result)
{
    *(enum turn_result *)result = turn_take(&turn, true);
    return NULL;
}

static void *take_at_once(void *result)
{
    *(enum turn_result *)result = turn_take(&turn, false);
    return NULL;
}

static enum turn_result in_thread(void *(*take)(void *))
{
    pthread_t thread;
    enum turn_result result;
    pthread_create(&thread, NULL, take, &result);
    pthread_join(thread, NULL);
    return result;
}

static void wait_until_somebody_waits(void)
{
    for (bool waits = false; !waits;) {
        pthread_mutex_lock(&turn.lock);
        waits = turn.waiting > 0;
        pthread_mutex_unlock(&turn.lock);
    }
}

Test(turn, U1_one_thread_has_it_and_may_take_it_again)
{
    cr_assert_eq(turn_init(&turn), 0);
    cr_assert_eq(turn_take(&turn, false), TURN_MINE);
    cr_assert_eq(turn_take(&turn, true), TURN_MINE);
    cr_assert_eq(in_thread(take_at_once), TURN_BUSY);
    turn_give(&turn);
    cr_assert_eq(in_thread(take_at_once), TURN_BUSY);
    turn_give(&turn);
    cr_assert_eq(in_thread(take_at_once), TURN_MINE);
}

Test(turn, U1_who_waits_gets_it_next)
{
    pthread_t thread;
    enum turn_result result = TURN_BUSY;
    cr_assert_eq(turn_init(&turn), 0);
    cr_assert_eq(turn_take(&turn, true), TURN_MINE);
    pthread_create(&thread, NULL, take_waiting, &result);
    wait_until_somebody_waits();
    turn_give(&turn);
    pthread_join(thread, NULL);
    cr_assert_eq(result, TURN_MINE);
}

Test(turn, U2_closing_sends_everybody_away)
{
    pthread_t thread;
    enum turn_result result = TURN_MINE;
    cr_assert_eq(turn_init(&turn), 0);
    cr_assert_eq(turn_take(&turn, true), TURN_MINE);
    pthread_create(&thread, NULL, take_waiting, &result);
    wait_until_somebody_waits();
    turn_close(&turn);
    pthread_join(thread, NULL);
    cr_assert_eq(result, TURN_CLOSED);
    cr_assert_eq(turn_take(&turn, true), TURN_CLOSED, "not even the one who has it");
    turn_give(&turn);
}

Test(turn, H8_a_waiter_can_be_cancelled)
{
    pthread_t thread;
    enum turn_result result;
    void *ended;
    cr_assert_eq(turn_init(&turn), 0);
    cr_assert_eq(turn_take(&turn, true), TURN_MINE);
    pthread_create(&thread, NULL, take_waiting, &result);
    wait_until_somebody_waits();
    pthread_cancel(thread);
    pthread_join(thread, &ended);
    cr_assert_eq(ended, PTHREAD_CANCELED);
    turn_give(&turn);
    cr_assert_eq(in_thread(take_waiting), TURN_MINE);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0 || errno != EBADF;
}

Test(gate, G1_G2_the_last_one_out_closes)
{
    int pair[2];
    struct gate gate;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    gate_init(&gate, pair[0]);
    cr_assert(gate_enter(&gate));
    cr_assert(gate_enter(&gate));
    gate_shut(&gate);
    gate_shut(&gate);
    cr_assert_not(gate_enter(&gate));
    char byte;
    cr_assert_eq(recv(pair[0], &byte, 1, 0), 0, "who waits inside is woken");
    gate_leave(&gate);
    cr_assert(is_open(pair[0]));
    gate_leave(&gate);
    cr_assert_not(is_open(pair[0]));
}

Test(gate, an_empty_one_closes_at_once)
{
    int pair[2];
    struct gate gate;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    gate_init(&gate, pair[0]);
    cr_assert(gate_enter(&gate));
    gate_leave(&gate);
    gate_shut(&gate);
    cr_assert_not(is_open(pair[0]));
}
