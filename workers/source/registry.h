/*
 * registry.h: a Confluent-compatible schema registry over HTTP: id → schema text, with the types that it refers to.
 * A thread sends the requests, so that a registry that does not answer delays only the records that need it. The
 * thread is started by the first question. Private to workers/source.
 *
 * An id is requested until the registry answers. While it cannot be reached the thread backs off (0.1 to 5 s) and logs
 * a warning. All functions except registry_new() and registry_free() are for one thread, the requesting one.
 */
#ifndef CASEVIEW_SOURCE_REGISTRY_H
#define CASEVIEW_SOURCE_REGISTRY_H

#include "workers/source/registry_lookup.h"

/* Maximum number of ids requested at the same time. */
#define REGISTRY_ASKED_MAX 64

struct registry;

/* base: the registry's URL. Never fails. */
struct registry *registry_new(const char *base);
/* Waits at most a second for a request in flight; a thread that hangs longer ends by itself later. NULL is fine. */
void registry_free(struct registry *registry);

/* Asks for an id, unless it is asked for already. False: too many are, or there is no thread; err says which. */
bool registry_ask(struct registry *registry, uint32_t id, struct err *err) CV_MUST_CHECK;
/* Takes the oldest answer. False: there is none. The caller releases it with registry_answer_done(). */
bool registry_take(struct registry *registry, struct registry_answer *out_answer) CV_MUST_CHECK;
void registry_answer_done(struct registry_answer *answer);

/* Waits for an answer, or until nothing is asked for. False: the time is over. */
bool registry_wait(struct registry *registry, int timeout_ms) CV_MUST_CHECK;
/* Whether ids are asked for that have no answer yet. */
bool registry_is_asked(struct registry *registry);
/* Why the registry did not answer the last time; "the schema registry is being asked" when it was not tried yet. */
void registry_problem(struct registry *registry, struct err *err);

#endif
