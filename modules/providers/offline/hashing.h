/*
 * Vectors without a model: words and their triples of characters, hashed into a fixed number of places.  Texts that share
 * words or parts of words come out near each other, the same text always the same; meaning is not in it.  Pure.  [any]
 */
#ifndef OFF_HASHING_H
#define OFF_HASHING_H

#include "prv_json.h"

enum { OFF_DIMENSIONS = 256, OFF_MIN_DIMENSIONS = 8, OFF_MAX_DIMENSIONS = 4096, OFF_MAX_TEXTS = 2048 };

/* Fills vector[n], of length 1; all zero for a text without a letter or digit. */
void off_hashing(oc_str text, float *vector, size_t n);
/* Appends the whole result for an embed request. False: why is a static text. */
bool off_hashing_answer(prv_json request, prv_text *out, const char **why);

#endif
