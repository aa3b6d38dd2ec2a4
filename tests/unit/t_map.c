/* Unit tests of core/agent/map: what may happen to a map while it is walked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>

#include "core/agent/map.h"
#include "core/base/mem.h"

enum { ITEMS = 200 };

typedef struct item {
	oc_map_node node;
	unsigned visits;
	int number;
	char key[20];
} item;

static oc_map map;
static item *items[2 * ITEMS];

static void add(int number)
{
	item *it = oc_calloc(1, sizeof *it);
	assert_non_null(it);
	it->number = number;
	snprintf(it->key, sizeof it->key, "item %d", number);
	items[number] = it;
	oc_map_add(&map, &it->node, it->key);
}

static void drop(int number)
{
	if (items[number] == NULL)
		return;
	oc_map_remove(&map, &items[number]->node);
	oc_free(items[number]);
	items[number] = NULL;
}

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < ITEMS; i++)
		add(i);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * ITEMS; i++)
		drop(i);
	assert_true(map.n == 0 && oc_map_any(&map) == NULL);
	oc_map_free(&map);
	return 0;
}

static item *visit(oc_map_node *node)
{
	item *it = OC_MAP_OWNER(node, item, node);
	it->visits++;
	return it;
}

static void leave_alone(void *arg, oc_map_node *node)
{
	*(int *)arg += visit(node)->visits == 1;
}

static void remove_itself(void *arg, oc_map_node *node)
{
	(*(int *)arg)++;
	drop(visit(node)->number);
}

static void visitor_may_remove_its_node(void **state)
{
	(void)state;
	int n = 0;
	oc_map_each(&map, remove_itself, &n);
	assert_int_equal(n, ITEMS);
	assert_int_equal(map.n, 0);
}

static void remove_what_comes_next(void *arg, oc_map_node *node)
{
	(*(int *)arg)++;
	(void)visit(node);
	if (node->next != NULL)
		drop(OC_MAP_OWNER(node->next, item, node)->number);
}

static void visitor_may_remove_the_next_node(void **state)
{
	(void)state;
	int n = 0;
	oc_map_each(&map, remove_what_comes_next, &n);
	assert_true(n < ITEMS); /* else no two shared a bucket */
	assert_int_equal(map.n, n);
}

static void remove_a_partner_and_walk(void *arg, oc_map_node *node)
{
	const item *it = visit(node);
	int inner = 0, partner = it->number ^ 1;
	(*(int *)arg)++;
	drop(partner);
	oc_map_each(&map, leave_alone, &inner);
}

/* A parent's end is its children's: each pair is met once, whichever of the two comes first. */
static void walks_may_stand_in_walks(void **state)
{
	(void)state;
	int n = 0;
	oc_map_each(&map, remove_a_partner_and_walk, &n);
	assert_int_equal(n, ITEMS / 2);
	assert_int_equal(map.n, ITEMS / 2);
}

static void add_another(void *arg, oc_map_node *node)
{
	const item *it = visit(node);
	(*(int *)arg)++;
	if (it->number < ITEMS)
		add(it->number + ITEMS);
}

static void nodes_are_met_once_though_the_map_grows(void **state)
{
	(void)state;
	int n = 0;
	size_t buckets = map.n_buckets;
	oc_map_each(&map, add_another, &n);
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(items[i]->visits, 1);
	for (int i = ITEMS; i < 2 * ITEMS; i++)
		assert_true(items[i]->visits <= 1);
	assert_int_equal(map.n, 2 * ITEMS);
	drop(0);
	add(0);
	assert_true(map.n_buckets > buckets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(visitor_may_remove_its_node, setup, teardown),
		cmocka_unit_test_setup_teardown(visitor_may_remove_the_next_node, setup, teardown),
		cmocka_unit_test_setup_teardown(walks_may_stand_in_walks, setup, teardown),
		cmocka_unit_test_setup_teardown(nodes_are_met_once_though_the_map_grows, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
