/*
 * sample_case.h: ready-made case fields and events for tests and benchmarks.
 */
#ifndef CASEVIEW_TESTS_SAMPLE_CASE_H
#define CASEVIEW_TESTS_SAMPLE_CASE_H

#include "workers/fold/event.h"

struct uuid sample_uuid(unsigned number); /* another number, another id */

/* The case of the page's sample (tests/data/page-sample.json). */
#define SAMPLE_PAGE_CASE_ID "10a36a3c-ffd8-42db-9eb0-5b0f6a1c2d3e"
struct case_fields sample_page_fields(void);

/* Every field filled; two variants differ in every group. */
struct case_fields sample_fields(unsigned variant);

/* An event of organization sample_uuid(1) about case sample_uuid(2), with sample_fields(variant), nothing "given". */
struct case_event sample_event(enum case_event_type type, int64_t sequence, unsigned variant);

#endif
