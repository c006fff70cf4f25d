/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include "table.h"

static int destroyed;

static void count_destroyed(void *object)
{
    (void)object;
    destroyed++;
}

static struct table table = { .kind = 3, .destroy = count_destroyed };

Test(table, T1_values_are_not_zero_and_not_the_last_one_again)
{
    uint64_t before = 0;
    int object;
    for (int i = 0; i < 5000; i++) {
        uint64_t value = table_add(&table, &object, NULL);
        cr_assert_neq(value, 0);
        cr_assert_neq(value, before);
        cr_assert_eq(table_acquire(&table, value), &object);
        cr_assert(table_retire(&table, value));
        table_release(&table, value);
        cr_assert_null(table_acquire(&table, value));
        before = value;
    }
    cr_assert_eq(destroyed, 5000);
}

Test(table, T2_an_acquired_object_outlives_its_value)
{
    int object;
    uint64_t value = table_add(&table, &object, NULL);
    cr_assert_eq(table_acquire(&table, value), &object);
    cr_assert_eq(table_acquire(&table, value), &object);
    cr_assert(table_retire(&table, value));
    table_release(&table, value);
    cr_assert_eq(destroyed, 0);
    table_release(&table, value);
    cr_assert_eq(destroyed, 1);
}

Test(table, T3_one_of_two_retires_it)
{
    int object;
    uint64_t value = table_add(&table, &object, NULL);
    table_acquire(&table, value);
    table_acquire(&table, value);
    cr_assert(table_retire(&table, value));
    cr_assert_not(table_retire(&table, value));
    cr_assert_null(table_acquire(&table, value));
    table_release(&table, value);
    table_release(&table, value);
    cr_assert_eq(destroyed, 1);
}

Test(table, values_of_another_kind_are_not_its_own)
{
    int object;
    static struct table other = { .kind = 4, .destroy = count_destroyed };
    uint64_t value = table_add(&table, &object, NULL);
    cr_assert_not_null(table_acquire(&table, value));
    table_release(&table, value);
    table_add(&other, &object, NULL);
    cr_assert_null(table_acquire(&other, value));
}

Test(table, many_objects_have_many_values)
{
    enum { COUNT = 1000 };
    static int objects[COUNT];
    static uint64_t values[COUNT];
    for (int i = 0; i < COUNT; i++)
        values[i] = table_add(&table, &objects[i], NULL);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(table_acquire(&table, values[i]), &objects[i]);
        table_release(&table, values[i]);
    }
    uint64_t value;
    uint32_t live = 0;
    for (uint32_t n = 0; table_walk(&table, n, &value); n++)
        live += value != 0;
    cr_assert_eq(live, COUNT);
}

Test(table, notes_go_with_the_value)
{
    int object;
    void *note = NULL;
    uint64_t value = table_add(&table, &object, &object);
    cr_assert(table_note_get(&table, value, &note));
    cr_assert_eq(note, &object);
    table_acquire(&table, value);
    table_note_set(&table, value, NULL);
    cr_assert(table_note_get(&table, value, &note));
    cr_assert_null(note);
    note = &object;
    table_retire(&table, value);
    cr_assert_not(table_note_get(&table, value, &note));
    cr_assert_not(table_note_get(&table, 0, &note));
    cr_assert_eq(note, &object, "untouched");
    table_release(&table, value);
}
