/*
 * canonical.h: rewrites a schema's JSON to Avro's Parsing Canonical Form or to a form close to it: full names
 * everywhere, nothing but what decoding needs. Names may be anything that is not empty, since registries accept more
 * than the specification allows. Private to workers/source.
 */
#ifndef CASEVIEW_SOURCE_CANONICAL_H
#define CASEVIEW_SOURCE_CANONICAL_H

#include <jansson.h>

#include "caseview/buf.h"
#include "caseview/err.h"

/* Maximum length of a schema's text, and of its canonical form. */
#define SCHEMA_MAX_BYTES (1u << 20)

/* Deeper schemas are refused, because later steps are recursive. */
#define SCHEMA_MAX_DEPTH 512

/* Types and references to them in a schema: the Avro library takes about a KiB for each. */
#define SCHEMA_MAX_TYPES 10000

enum canonical_form {
    /* The form of the specification, from which fingerprints are computed. */
    CANONICAL_FINGERPRINT,
    /* With the logical types of primitives and fixed: for types that other schemas refer to. */
    CANONICAL_WITH_LOGICAL_TYPES,
    /*
     * For the Avro library, which refuses many names and knows no logical type. Names that it refuses are replaced;
     * those of the reader never are. Each named type gets a namespace of its own. A type with a logical type is
     * wrapped in a record of one field, which has the same bytes: the wrapper's namespace is CANONICAL_LOGICAL, its
     * name is that of the logical type (canonical_is_logical()).
     */
    CANONICAL_FOR_AVRO_C,
};

#define CANONICAL_LOGICAL "logical"

struct canonical_options {
    enum canonical_form form;
    /* Types defined elsewhere: full name → definition, inserted at its first reference. NULL: none. */
    const json_t *externals;
    /*
     * The reader's names. A writer's record or field that is unknown under its own name but has a known one among its
     * aliases is written under that one. NULL: aliases are ignored, as in the canonical form.
     */
    bool (*knows_record)(const char *name);
    bool (*knows_field)(const char *record, const char *field);
};

/* Whether a wrapper's name is that of a logical type, which is written with "_" for "-". */
bool canonical_is_logical(const char *wrapper, const char *logical);

/* Appends the form. CV_OK, or CV_PARK: not an Avro schema (err says where). */
enum cv_status canonical_write(const json_t *schema, const struct canonical_options *options, struct buf *out,
                               struct err *err) CV_MUST_CHECK;

/* Adds every named type that a canonical schema defines to externals. CV_OK, or CV_PARK: there are too many. */
enum cv_status canonical_collect(json_t *canonical, json_t *externals, struct err *err) CV_MUST_CHECK;

/* Parses a schema's text. NULL: not JSON, err says where. The caller releases it with json_decref(). */
json_t *canonical_parse(struct str text, struct err *err) CV_MUST_CHECK;

#endif
