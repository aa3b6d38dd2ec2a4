/*
 * Output of commands made fit for a model: valid UTF-8, no terminal sequences, no control characters.  A stream: characters
 * and sequences may be cut anywhere between two pieces.  Pure.
 */
#ifndef EX_CLEAN_H
#define EX_CLEAN_H

#include "tk.h"

typedef struct ex_clean {
	char part[4]; /* an unfinished character */
	size_t n_part;
	int state; /* of a terminal sequence */
	bool cr;   /* the last character was a carriage return */
} ex_clean;

/* Appends the clean form of a piece to out; at the end (last) also what is unfinished. A lone carriage return, as progress
 * bars use it, becomes a newline. Zero-initialise the state. */
void ex_clean_add(ex_clean *c, const char *p, size_t n, bool last, tk_text *out);

#endif
