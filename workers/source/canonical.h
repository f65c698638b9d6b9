/*
 * canonical.h: a schema's JSON → Avro's Parsing Canonical Form, the one shape in which this layer handles schemas: full
 * names everywhere, nothing but what decoding needs. Private to workers/source.
 */
#ifndef CASEVIEW_SOURCE_CANONICAL_H
#define CASEVIEW_SOURCE_CANONICAL_H

#include <jansson.h>

#include "caseview/buf.h"
#include "caseview/err.h"

/* A schema's text, and its canonical form, may be this long. */
#define SCHEMA_MAX_BYTES (1u << 20)

/* Deeper schemas are refused: every later walk is recursive. */
#define SCHEMA_MAX_DEPTH 512

struct canonical_options {
    /* Types defined elsewhere: full name → definition in canonical form, put in where first named. NULL: none. */
    const json_t *externals;
    /*
     * The reader's names. A writer's record or field that is unknown under its own name but lists a known one among
     * its aliases is written under that one. NULL: aliases count for nothing, as the specification says of the form.
     */
    bool (*knows_record)(const char *name);
    bool (*knows_field)(const char *record, const char *field);
};

/* The part of a full name behind its last dot. */
const char *canonical_short_name(const char *full_name);

/* Appends the form. CV_OK, or CV_PARK: no Avro schema (err says where it goes wrong). */
enum cv_status canonical_write(const json_t *schema, const struct canonical_options *options, struct buf *out,
                               struct err *err) CV_MUST_CHECK;

/* Adds every named type that a canonical schema defines to externals. CV_OK, or CV_PARK: there are too many. */
enum cv_status canonical_collect(json_t *canonical, json_t *externals, struct err *err) CV_MUST_CHECK;

/* Parses a schema's text. NULL: no JSON, err says where. The caller gives the reference back with json_decref(). */
json_t *canonical_parse(struct str text, struct err *err) CV_MUST_CHECK;

#endif
