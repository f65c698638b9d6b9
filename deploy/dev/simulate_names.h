/*
 * simulate_names.h: names for simulated entities, with letters of several alphabets, quotes and other characters that
 * programs often handle wrongly.
 */
#ifndef CASEVIEW_DEV_SIMULATE_NAMES_H
#define CASEVIEW_DEV_SIMULATE_NAMES_H

#include "deploy/dev/random.h"
#include "workers/fold/event.h"

#define NAME_SIZE 96

/* Makes a random name for the index-th entity of a kind. */
void name_make(struct random *random, enum entity_kind kind, uint32_t index, char out[NAME_SIZE]);
/* "JD" for "John Doe": the first letters of the first and the last word, in any alphabet. */
void name_initials(const char *name, char *out, size_t size);
const char *name_color(struct random *random);

#endif
