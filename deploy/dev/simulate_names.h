/*
 * simulate_names.h: texts for what is simulated: ordinary names, and among them the letters, quotes and marks that trip
 * programs up.
 */
#ifndef CASEVIEW_DEV_SIMULATE_NAMES_H
#define CASEVIEW_DEV_SIMULATE_NAMES_H

#include "deploy/dev/random.h"
#include "workers/fold/event.h"

#define NAME_SIZE 96

/* A name for the index-th entity of a kind; another one each time it is asked. */
void name_make(struct random *random, enum entity_kind kind, uint32_t index, char out[NAME_SIZE]);
/* "JD" of "John Doe": the first letter of the first and of the last word, whatever their alphabet. */
void name_initials(const char *name, char *out, size_t size);
const char *name_color(struct random *random);

#endif
