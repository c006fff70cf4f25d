/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_PLANTED_H
#define TESTS_SIM_PLANTED_H

/*
 * planted.h - does the simulator see what it is there to see?
 *
 * Beside the swarm lie copies of it, each built with one wrong line (plant.py). Every one of them
 * must find itself out.
 */
#include <stdbool.h>
#include <stdint.h>

/**
 * Run each copy until it fails, `jobs` at a time, and say how many seeds that took.
 *
 * Errors:  the exit status: 0 all were caught within `seeds` seeds, 1 not all, 2 there are none or
 *          they cannot be run
 */
int planted_run(uint64_t seeds, int jobs, bool json);

#endif
