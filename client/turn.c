/* SPDX-License-Identifier: BSD-3-Clause */
#include "turn.h"

int turn_init(struct turn *turn)
{
    *turn = (struct turn){ 0 };
    int error = pthread_mutex_init(&turn->lock, NULL);
    if (error)
        return -error;
    error = pthread_cond_init(&turn->changed, NULL);
    if (error)
        pthread_mutex_destroy(&turn->lock);
    return -error;
}

void turn_destroy(struct turn *turn)
{
    pthread_cond_destroy(&turn->changed);
    pthread_mutex_destroy(&turn->lock);
}

static void stop_waiting(void *arg)
{
    struct turn *turn = arg;
    turn->waiting--;
    pthread_mutex_unlock(&turn->lock);
}

/* Called with the lock; a thread cancelled while it waits gives it back. */
static enum turn_result take_locked(struct turn *turn, bool wait)
{
    while (!turn->closed && turn->depth > 0 && !pthread_equal(turn->owner, pthread_self())) {
        if (!wait)
            return TURN_BUSY;
        pthread_cond_wait(&turn->changed, &turn->lock);
    }
    if (turn->closed)
        return TURN_CLOSED;
    turn->owner = pthread_self();
    turn->depth++;
    return TURN_MINE;
}

enum turn_result turn_take(struct turn *turn, bool wait)
{
    enum turn_result result;
    pthread_mutex_lock(&turn->lock);
    turn->waiting++;
    pthread_cleanup_push(stop_waiting, turn);
    result = take_locked(turn, wait);
    pthread_cleanup_pop(1);
    return result;
}

void turn_give(struct turn *turn)
{
    pthread_mutex_lock(&turn->lock);
    if (--turn->depth == 0 && turn->waiting > 0)
        pthread_cond_broadcast(&turn->changed);
    pthread_mutex_unlock(&turn->lock);
}

void turn_close(struct turn *turn)
{
    pthread_mutex_lock(&turn->lock);
    turn->closed = true;
    pthread_cond_broadcast(&turn->changed);
    pthread_mutex_unlock(&turn->lock);
}
