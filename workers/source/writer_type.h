/*
 * writer_type.h: a type of a writer's schema as the Avro library has it, and what can be made of its values.
 * Private to workers/source.
 */
#ifndef CASEVIEW_SOURCE_WRITER_TYPE_H
#define CASEVIEW_SOURCE_WRITER_TYPE_H

#include <avro.h>

#include "workers/source/value_plan.h"

/* Links are followed, and what canonical.h wraps around a logical type is taken off. */
struct writer_type {
    avro_schema_t schema;
    const char *logical; /* "timestamp_millis__long": canonical_is_logical(). NULL: none */
};

struct writer_type writer_type_of(avro_schema_t schema);
/* "int", "a union", a record's name: for texts. */
const char *writer_type_name(avro_schema_t schema);

/* Whether a field of that type can be read from it: Avro's promotions int → long → float and bytes ↔ string. */
bool writer_type_fits(const struct writer_type *type, enum field_type field);
/* Whether its logical type is one that such a field understands. Only GUIDs and times look at it. */
bool writer_type_logical_fits(const struct writer_type *type, enum field_type field);
/* What is done with the value of a type that fits. */
enum plan_op writer_type_op(const struct writer_type *type, enum field_type field);
/* Length of the logical type's own name. */
int writer_type_logical_len(const struct writer_type *type);
enum plan_time writer_type_time(const struct writer_type *type);

/* How a value is skipped: plan_node.skip and plan_node.size. */
enum skip_op writer_type_skip(avro_schema_t schema);
uint32_t writer_type_skip_size(avro_schema_t schema);

/* Types within: fields, branches, items or values. */
size_t writer_type_children(avro_schema_t schema);
avro_schema_t writer_type_child(avro_schema_t schema, size_t i);

#endif
