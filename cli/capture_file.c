/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture_file.h"

#include <string.h>
#include <time.h>

enum { TTL = 64, NAME_BYTES = 64, DESCRIPTION_BYTES = 256 };

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void learn_hosts(struct capture_file *f)
{
    const struct tape_about *about = f->about;
    for (uint32_t i = 0; i < about->node_count; i++) {
        packet_host_set(&f->node[i], about->node[i].address, about->node[i].port);
        if (about->node[i].node_id == about->node_id)
            f->own = f->node[i];
    }
    f->unknown.v6 = f->own.v6;
    if (!about->multicast[0] ||
        !packet_host_set(&f->many, about->multicast, about->multicast_port) ||
        f->many.v6 != f->own.v6)
        packet_host_everybody(&f->many, f->own.v6, f->own.port);
}

void capture_file_begin(struct capture_file *f, FILE *out, const struct tape_about *about,
                        uint32_t snap_bytes)
{
    char name[NAME_BYTES], description[DESCRIPTION_BYTES];
    f->about = about;
    f->unix_less_monotonic_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC); /* H2 */
    learn_hosts(f);
    snprintf(name, sizeof(name), "node %u", about->node_id);
    snprintf(description, sizeof(description), "cluster %s, %s: between ring and transport",
             about->cluster, about->transport);
    pcapng_begin(&f->pcapng, out,
                 &(struct pcapng_interface){ .name = name,
                                             .description = description,
                                             .program = "synchrotron capture",
                                             .snap_bytes = PACKET_HEAD_BYTES_MAX + snap_bytes });
}

static const struct packet_host *host(const struct capture_file *f, uint32_t node_id)
{
    for (uint32_t i = 0; i < f->about->node_count; i++) {
        if (f->about->node[i].node_id == node_id && f->node[i].v6 == f->own.v6)
            return &f->node[i];
    }
    return &f->unknown;
}

void capture_file_add(struct capture_file *f, const struct tape_record *record,
                      const uint8_t *bytes)
{
    uint8_t head[PACKET_HEAD_BYTES_MAX];
    bool sent = record->direction == TAPE_SENT;
    bool many = sent && (record->peer == ZCB_TO_ALL || record->peer == ZCB_TO_RING);
    const struct packet_host *peer = many ? &f->many : host(f, record->peer);
    struct packet packet = {
        .from = sent ? &f->own : peer,
        .to = sent ? peer : &f->own,
        .frame = bytes,
        .kept_bytes = record->kept_bytes,
        .frame_bytes = record->frame_bytes,
        .ttl = many && f->about->multicast_ttl ? f->about->multicast_ttl : TTL,
    };
    uint32_t head_bytes = packet_head(head, &packet);
    pcapng_packet(&f->pcapng,
                  &(struct pcapng_packet){ .time_ns = record->time_ns + f->unix_less_monotonic_ns,
                                           .head = head,
                                           .body = bytes,
                                           .head_bytes = head_bytes,
                                           .body_bytes = record->kept_bytes,
                                           .packet_bytes = head_bytes + record->frame_bytes,
                                           .sent = sent });
}

void capture_file_end(struct capture_file *f, const struct tape_reader *reader, uint64_t begin_ns,
                      uint64_t end_ns)
{
    pcapng_end(&f->pcapng,
               &(struct pcapng_counts){ .begin_ns = begin_ns + f->unix_less_monotonic_ns,
                                        .end_ns = end_ns + f->unix_less_monotonic_ns,
                                        .passed = reader->next,
                                        .lost = reader->lost });
}
