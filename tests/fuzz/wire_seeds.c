/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * wire_seeds.c - writes one good frame of each type to the folder it is given: the corpus the
 * fuzzer starts from. Run it when the wire table changes: wire_seeds tests/fuzz/corpus/wire
 */
#include "ring/wire_frames.h"

static int write_seed(const char *folder, const struct frames_sample *sample)
{
    char path[4096];
    struct frames_buffer b = { .bytes = 0 };
    sample->make(&b);
    snprintf(path, sizeof(path), "%s/%s", folder, sample->name);
    FILE *file = fopen(path, "wb");
    if (!file)
        return -1;
    size_t written = fwrite(b.byte, 1, b.bytes, file);
    return fclose(file) == 0 && written == b.bytes ? 0 : -1;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < ARRAY_COUNT(frames_sample); i++) {
        if (write_seed(argv[1], &frames_sample[i]) < 0) {
            perror(argv[1]);
            return 1;
        }
    }
    return 0;
}
