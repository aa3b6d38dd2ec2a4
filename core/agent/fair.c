#include "core/agent/fair.h"

#include <string.h>

#include "core/base/mem.h"

/* ---- The ring of sources that have something ---- */

static void enter_ring(oc_fair *f, oc_fair_source *s)
{
	if (f->turn == NULL) {
		s->next = s->prev = s;
		f->turn = s;
		return;
	}
	/* Behind all others. */
	s->next = f->turn;
	s->prev = f->turn->prev;
	s->prev->next = s;
	s->next->prev = s;
}

static void leave_ring(oc_fair *f, oc_fair_source *s)
{
	if (s->next == s) {
		f->turn = NULL;
	} else {
		s->next->prev = s->prev;
		s->prev->next = s->next;
		if (f->turn == s)
			f->turn = s->next;
	}
	if (s == &f->common)
		return;
	oc_map_remove(&f->sources, &s->node);
	oc_free(s);
}

static oc_fair_source *source_of(oc_fair *f, const char *key)
{
	oc_map_node *node = oc_map_find(&f->sources, key);
	if (node != NULL)
		return OC_MAP_OWNER(node, oc_fair_source, node);
	size_t n = strlen(key) + 1;
	oc_fair_source *s = oc_alloc(sizeof *s + n);
	if (s == NULL)
		return &f->common;
	char *copy = (char *)(s + 1);
	memcpy(copy, key, n);
	oc_map_add(&f->sources, &s->node, copy);
	return s;
}

/* ---- Items ---- */

void oc_fair_push(oc_fair *f, oc_fair_item *item, const char *key)
{
	if (item->source != NULL)
		return;
	oc_fair_source *s = source_of(f, key);
	if (s->first == NULL)
		enter_ring(f, s);
	item->source = s;
	item->next = NULL;
	item->prev = s->last;
	if (s->last != NULL)
		s->last->next = item;
	else
		s->first = item;
	s->last = item;
	f->n++;
}

void oc_fair_remove(oc_fair *f, oc_fair_item *item)
{
	oc_fair_source *s = item->source;
	if (s == NULL)
		return;
	if (item->prev != NULL)
		item->prev->next = item->next;
	else
		s->first = item->next;
	if (item->next != NULL)
		item->next->prev = item->prev;
	else
		s->last = item->prev;
	*item = (oc_fair_item){0};
	f->n--;
	if (s->first == NULL)
		leave_ring(f, s);
}

oc_fair_item *oc_fair_pop(oc_fair *f)
{
	oc_fair_source *s = f->turn;
	if (s == NULL)
		return NULL;
	oc_fair_item *item = s->first;
	f->turn = s->next; /* before the removal, which may free it */
	oc_fair_remove(f, item);
	return item;
}

void oc_fair_free(oc_fair *f)
{
	while (f->turn != NULL)
		oc_fair_remove(f, f->turn->first);
	oc_map_free(&f->sources);
	*f = (oc_fair){0};
}
