#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Faults of one line each, planted into a copy of one source file.

The simulator must catch every one of them; one that it does not catch shows a check that is missing.
The sources that are built into the product know nothing of this: a line that is no longer there as it
is quoted here, once, ends the build with its name.

    plant.py --list                        a line each: name, file
    plant.py --check SOURCE_ROOT           is each line there as it is quoted?
    plant.py NAME SOURCE_ROOT OUTPUT       write the file of NAME with its fault
"""
import os
import sys

# name: (file, the line as it is, the line as it must not be)
BUGS = {
    # The token and the order
    "aru_off_by_one": (
        "ring/token.c",
        "        t->aru = my_aru;",
        "        t->aru = my_aru + (my_aru < t->seq);"),
    "aru_raised_by_anyone": (
        "ring/token.c",
        "    bool nobodys = !configuration_has(r, &r->my_ring, t->aru_id);",
        "    bool nobodys = true;"),
    "safe_after_one_rotation": (
        "ring/token.c",
        "    uint64_t safe = min_u64(t->aru, r->my_last_aru);",
        "    uint64_t safe = t->aru;"),
    "token_accepted_twice": (
        "ring/token.c",
        "    if (wire->token_seq <= r->my_token_seq) {",
        "    if (wire->token_seq + 1 < r->my_token_seq) {"),
    "safe_delivered_as_agreed": (
        "ring/deliver.c",
        "    if (frame_safe(frame) && w->high_delivered + 1 > w->safe_seq)",
        "    if (frame_safe(frame) && w->high_delivered + 1 > w->my_aru)"),
    "frame_let_go_before_all_have_it": (
        "ring/window.c",
        "    uint64_t end = min_u64(w->safe_seq, w->high_delivered);",
        "    uint64_t end = w->high_delivered;"),
    "frame_leaked": (
        "ring/window.c",
        "        zcb_drop(*slot, ZCB_HELD_RING);",
        "        if (w->low % 64) zcb_drop(*slot, ZCB_HELD_RING);"),
    "frame_placed_twice": (
        "ring/window.c",
        "    if (seq <= w->my_aru || window_at(w, seq))",
        "    if (window_at(w, seq))"),
    "answer_to_a_gap_not_sent": (
        "ring/rtr.c",
        "        send_frame(r, frame, send_dest(r, frame));",
        "        (void)send_frame;"),
    "gap_never_asked_for": (
        "ring/rtr.c",
        "    uint64_t seq = w->my_aru + 1;",
        "    uint64_t seq = w->my_aru + 2;"),
    "asked_for_before_it_can_have_come": (
        "ring/rtr.c",
        "    uint64_t end = min_u64(r->shown_seq, t->seq);",
        "    uint64_t end = t->seq;"),
    "bulk_passes_what_was_before_it": (
        "ring/pack.c",
        "    whole->fence = pack->frames_begun;",
        "    whole->fence = 0;"),
    "permission_taken_from_others": (
        "ring/token.c",
        "    if (large && r->gate_open && t->bulk_owner == NODE_NONE)",
        "    if (large && r->gate_open)"),
    # Membership
    "fail_set_shrinks": (
        "ring/gather.c",
        "    if (set_has(g->my_fail_set, from))",
        "    if (set_remove(&g->my_fail_set, from), false)"),
    "silent_node_never_fails": (
        "ring/gather.c",
        "        bool silent = r->now_ns >= silent_ns(r, i);",
        "        bool silent = false && r->now_ns >= silent_ns(r, i);"),
    "ring_id_not_above_others": (
        "ring/commit.c",
        "    seq = max_u64(seq, r->gather.join_ring_seq[i]);",
        "    (void)i;"),
    "ring_id_used_before_it_is_on_disk": (
        "ring/commit.c",
        "    if (seq > r->persisted) {",
        "    if (false && seq > r->persisted) {"),
    "ring_id_not_yet_on_disk_counted_on": (
        "ring/ring.c",
        "    r->persisted = max_u64(r->persisted, seq);",
        "    r->persisted = max_u64(r->persisted, r->persist_wanted);"),
    "never_too_late_to_wait_for_the_disk": (
        "ring/ring.c",
        "    if (seq > r->persisted && r->persist_needed <= r->persisted)",
        "    if (seq > r->persisted)"),
    "transitional_configuration_left_out": (
        "ring/deliver.c",
        "        return deliver_transitional(r);",
        "        return true;"),
    # Recovery
    "recovery_forgets_the_last_message": (
        "ring/recovery.c",
        "        if (old && frame_is_message(old, r->my_old_ring.id) &&",
        "        if (old && r->recover_next < r->old->high_seq && frame_is_message(old, r->my_old_ring.id) &&"),
    "old_ring_ends_before_its_last_message": (
        "ring/deliver.c",
        "        return deliver_old(r, r->old->high_seq);",
        "        return deliver_old(r, r->old->high_seq - (r->old->high_seq > r->old->high_delivered));"),
    "safe_in_the_old_ring_though_not_all_have_it": (
        "ring/deliver.c",
        "        if (seq > r->high_ring_safe && frame_is_message(frame, r->my_old_ring.id) &&",
        "        if (seq > w->my_aru && frame_is_message(frame, r->my_old_ring.id) &&"),
    "messages_behind_gaps_of_anybody": (
        "ring/deliver.c",
        "            wanted = index >= 0 && set_has(r->my_deliver_memb, index);",
        "            wanted = index >= 0;"),
    "debt_of_failed_recovery_forgotten": (
        "ring/recovery.c",
        "            owed = set_or(owed, by_index(r, info->deliver_memb));",
        "            owed = set_or(owed, set_of(r->my_index));"),
    "strangers_come_along": (
        "ring/recovery.c",
        "           ring_id_equal(info->old_ring, r->my_old_ring.id) &&",
        "           info->known &&"),
    "installed_after_one_quiet_hop": (
        "ring/recovery.c",
        "    if (t->quiet >= 2 * members) {",
        "    if (t->quiet >= 1) {"),
    "large_message_not_begun_again": (
        "ring/operational.c",
        "    if (pack_bulk_restart(&r->pack)) {",
        "    if (false && pack_bulk_restart(&r->pack)) {"),
    # Groups
    "node_failure_told_as_process_failure": (
        "daemon/sync.c",
        "        left[left_count++] = (struct chan_address){ member->node_id, member->pid, REASON_NODEDOWN };",
        "        left[left_count++] = (struct chan_address){ member->node_id, member->pid, REASON_PROCDOWN };"),
    "losses_do_not_add_up": (
        "daemon/sync.c",
        "        g->node[n].along = g->node[n].along && g->node[n].present;",
        "        g->node[n].along = g->node[n].present;"),
    "merge_forgets_a_process": (
        "daemon/sync.c",
        "        if (!member->coming)",
        "        if (!member->coming || (i > 0 && i + 1 == group->member_count))"),
    "exchange_completes_one_short": (
        "daemon/sync.c",
        "    if (--exchange->missing == 0)",
        "    if (--exchange->missing <= 1 && exchange->open)"),
    "who_stops_goes_before_the_others_have_the_ring": (
        "daemon/turn.c",
        "                !core->groups.exchange.changing;",
        "                true;"),
    "goodbye_is_a_sign_of_life": (
        "ring/ring.c",
        "    if (view->head->type != WIRE_JOIN || !(view->join->flags & WIRE_LEAVING))",
        "    if (true)"),
    "who_stops_waits_for_processes_that_have_left": (
        "daemon/groups.c",
        "    node->member_count--;",
        "    (void)node;"),
    "staged_members_count_from_exchange_to_exchange": (
        "daemon/sync.c",
        "        node->staged_count = 0;",
        "        (void)node->staged_count;"),
    # Delivery to clients, and what holds buffers
    "view_before_its_last_message": (
        "daemon/deliver.c",
        "    bool direct = o->waiting_count == 0 && room >= DELIVER_FRAME_EVENTS &&",
        "    bool direct = room >= DELIVER_FRAME_EVENTS &&"),
    "unfinished_message_kept_for_ever": (
        "daemon/turn.c",
        "        deliver_void_partials(&core->deliver);",
        "        (void)deliver_void_partials;"),
    "recovered_frame_does_not_hold_its_payload": (
        "zcb/pool.c",
        "    zcb_hold(base, ZCB_HELD_RING);",
        "    (void)base;"),
    "lease_given_back_keeps_its_frame": (
        "daemon/deliver.c",
        "    loan_drop(&d->loans, loan);",
        "    if (lease != 7) loan_drop(&d->loans, loan);"),
    "payload_freed_while_it_is_sent": (
        "daemon/segment.c",
        "    while (!segment_idle(segment) && record_at(segment, segment->head)->refs == 0)",
        "    while (!segment_idle(segment) && record_at(segment, segment->head)->refs <= 1)"),
    "time_in_which_nobody_ran_is_silence": (
        "ring/timers.c",
        "    if (timer_armed(r, TIMER_LOSS) && r->returns++ < RETURNS_MAX)",
        "    if (false && r->returns++ < RETURNS_MAX)"),
    "congestion_never_ends": (
        "daemon/intake.c",
        "    bool congested = waiting >= (c->congested ? CHAN_SUBMIT_COUNT / 2 : CHAN_SUBMIT_COUNT * 3 / 4);",
        "    bool congested = c->congested || waiting >= CHAN_SUBMIT_COUNT * 3 / 4;"),
    "slow_client_stops_the_ring_for_ever": (
        "daemon/slow.c",
        "    if (waits)",
        "    if (waits || core->config->slow_policy == SLOW_BLOCK)"),
}


def planted(name, root):
    file, line, bug = BUGS[name]
    with open(os.path.join(root, file), encoding="utf-8") as source:
        text = source.read()
    if text.count("\n" + line + "\n") != 1:
        raise LookupError(f"{name}: {file} has this line {text.count(line)} times, not once: {line.strip()}")
    return text.replace("\n" + line + "\n", "\n" + bug + "\n")


def main():
    if sys.argv[1:] == ["--list"]:
        for name, (file, _, _) in BUGS.items():
            print(name, file)
        return
    if sys.argv[1] == "--check":
        for name in BUGS:
            planted(name, sys.argv[2])
        return
    name, root, output = sys.argv[1:]
    with open(output, "w", encoding="utf-8") as file:
        file.write(planted(name, root))


try:
    main()
except LookupError as error:
    sys.exit(str(error))
