/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_tree_nodes.c -- computed numbers and the table of nodes. */
#include "tree/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static void test_number_of_an_object_holds_all_its_parts(void **state)
{
    struct node n;
    vivo_row row = (INT64_C(1) << 40) - 1;
    vivo_ino ino = ino_of(&room_object, 255, VIVO_LEVEL_INSTANCE, 0x1fe, row);

    (void)state;
    assert_true(ino_decode(ino, &n));
    assert_ptr_equal(n.room, &room_object);
    assert_int_equal(n.archive, 255);
    assert_int_equal(n.level, VIVO_LEVEL_INSTANCE);
    assert_int_equal(n.version, 0xfe);
    assert_true(n.row == row);
}

static void test_numbers_differ_in_each_part(void **state)
{
    vivo_ino all[] = {
        ino_of(&room_object, 1, VIVO_LEVEL_INSTANCE, 0, 7),
        ino_of(&room_object, 2, VIVO_LEVEL_INSTANCE, 0, 7),
        ino_of(&room_object, 1, VIVO_LEVEL_INSTANCE, 1, 7),
        ino_of(&room_object, 1, VIVO_LEVEL_INSTANCE, 0, 8),
        ino_of(&room_level, 1, VIVO_LEVEL_SERIES, 0, 7),
        ino_of(&room_level, 1, VIVO_LEVEL_STUDY, 0, 7),
        ino_of(&room_level, 0, VIVO_LEVEL_NONE, 0, 0),
        VIVO_INO_ROOT,
        16,
    };

    (void)state;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(all); i++) {
        for (size_t j = 0; j < i; j++)
            assert_true(all[i] != all[j]);
    }
}

static void test_numbers_of_the_table_are_not_computed_ones(void **state)
{
    struct node n;

    (void)state;
    assert_false(ino_decode(VIVO_INO_ROOT, &n));
    assert_false(ino_decode(16, &n));
    assert_false(ino_decode((UINT64_C(1) << 60) - 1, &n));
    assert_false(ino_decode(UINT64_MAX, &n));
}

static void test_hash_stays_out_of_the_computed_range(void **state)
{
    struct node n;
    char name[16];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "name %d", i);
        assert_false(ino_decode(ino_hash(VIVO_INO_ROOT, name), &n));
        assert_true(ino_hash(1, name) != ino_hash(2, name));
        assert_true(ino_hash(1, name) == ino_hash(1, name));
    }
}

/* ---- the table ---- */

static struct vivo_tree tree;
static const struct node root = {.ino = 1, .number = 1, .room = &room_root};

static int new_table(void **state)
{
    struct vivo_err err = {0};

    (void)state;
    return table_new(&tree.table, &err);
}

static int free_table(void **state)
{
    (void)state;
    table_free(tree.table);
    tree.table = NULL;
    return 0;
}

static vivo_ino enter(const char *name, const struct room *room, const char *text,
                      bool fresh)
{
    struct found f = {.spec = {.room = room, .text = text ? strdup(text) : NULL},
                      .fresh = fresh};
    struct vivo_node_stat st;
    struct vivo_err err = {0};

    assert_int_equal(table_enter(tree.table, &root, name, &f, &st, &err), 0);
    assert_true(st.number == ino_hash(1, name));
    return st.ino;
}

static bool is_there(vivo_ino ino)
{
    struct node space;
    const struct node *n = node_get(&tree, ino, &space);

    node_put(&tree, n);
    return n != NULL;
}

static void test_the_same_name_is_the_same_node(void **state)
{
    vivo_ino a = enter("q", &room_q, NULL, false);
    vivo_ino b = enter("q", &room_q, NULL, false);
    vivo_ino c = enter("by", &room_by, NULL, false);

    (void)state;
    assert_true(a == b && a != c);
    table_forget(tree.table, a, 1);
    assert_true(is_there(a));
    table_forget(tree.table, a, 1);
    assert_false(is_there(a));
    assert_true(is_there(c));
}

static void test_a_link_with_another_target_is_another_node(void **state)
{
    vivo_ino a = enter("mine", &room_link, "Modality=CT", false);
    vivo_ino b = enter("mine", &room_link, "Modality=MR", false);
    vivo_ino c = enter("mine", &room_link, "Modality=MR", false);

    (void)state;
    assert_true(a != b && b == c);
    assert_true(is_there(a));
    table_forget(tree.table, a, 1);
    assert_false(is_there(a));
    assert_true(is_there(b));
}

static void test_a_fresh_node_is_new_at_every_look_up(void **state)
{
    vivo_ino a = enter("status.json", &room_text, NULL, true);
    vivo_ino b = enter("status.json", &room_text, NULL, true);

    (void)state;
    assert_true(a != b);
}

static void test_a_node_in_use_survives_being_forgotten(void **state)
{
    struct node space;
    vivo_ino ino = enter("q", &room_q, NULL, false);
    const struct node *n = node_get(&tree, ino, &space);

    (void)state;
    table_forget(tree.table, ino, 1);
    assert_ptr_equal(n->room, &room_q);
    node_put(&tree, n);
    assert_false(is_there(ino));
}

static void test_many_nodes_are_all_found_and_all_forgotten(void **state)
{
    enum { MANY = 20000 };
    vivo_ino *all = calloc(MANY, sizeof *all);
    char name[16];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d", i);
        all[i] = enter(name, &room_level, NULL, false);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d", i);
        assert_true(enter(name, &room_level, NULL, false) == all[i]);
        table_forget(tree.table, all[i], 2);
        assert_false(is_there(all[i]));
    }
    free(all);
}

static void test_reuse_needs_the_same_generation(void **state)
{
    struct found f = {.spec = {.room = &room_text, .generation = 5}, .fresh = true};
    struct vivo_node_stat st;
    struct vivo_node_stat again;
    struct vivo_err err = {0};

    (void)state;
    assert_int_equal(table_enter(tree.table, &root, ".count", &f, &st, &err), 0);
    assert_false(table_reuse(tree.table, &root, ".count", 6, &again));
    assert_true(table_reuse(tree.table, &root, ".count", 5, &again));
    assert_true(again.ino == st.ino);
    assert_true(again.entry_timeout <= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_of_an_object_holds_all_its_parts),
        cmocka_unit_test(test_numbers_differ_in_each_part),
        cmocka_unit_test(test_numbers_of_the_table_are_not_computed_ones),
        cmocka_unit_test(test_hash_stays_out_of_the_computed_range),
        cmocka_unit_test_setup_teardown(test_the_same_name_is_the_same_node, new_table,
                                        free_table),
        cmocka_unit_test_setup_teardown(test_a_link_with_another_target_is_another_node,
                                        new_table, free_table),
        cmocka_unit_test_setup_teardown(test_a_fresh_node_is_new_at_every_look_up,
                                        new_table, free_table),
        cmocka_unit_test_setup_teardown(test_a_node_in_use_survives_being_forgotten,
                                        new_table, free_table),
        cmocka_unit_test_setup_teardown(test_many_nodes_are_all_found_and_all_forgotten,
                                        new_table, free_table),
        cmocka_unit_test_setup_teardown(test_reuse_needs_the_same_generation, new_table,
                                        free_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
