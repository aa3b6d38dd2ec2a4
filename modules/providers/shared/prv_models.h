/* The list of GET /models in the host's form.  Pure.  [any] */
#ifndef PRV_MODELS_H
#define PRV_MODELS_H

#include "prv_fault.h"

/* Appends {"models":[{"id","name"?,"contextWindow"?}]}. False: the body is no list of models. */
bool prv_models_read(oc_str body, prv_text *out);

#endif
