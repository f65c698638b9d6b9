/*
 * fingerprint.h: Avro's Parsing Canonical Form and its CRC-64-AVRO, by which single-object encoding names a schema
 * (Avro specification, "Parsing Canonical Form for Schemas" and "Schema Fingerprints").
 */
#ifndef CASEVIEW_SOURCE_FINGERPRINT_H
#define CASEVIEW_SOURCE_FINGERPRINT_H

#include "caseview/base.h"
#include "caseview/buf.h"
#include "caseview/err.h"

/* CV_OK or CV_PARK (the text is not an Avro schema). */
enum cv_status fingerprint_canonical(struct str schema_json, struct buf *out, struct err *err) CV_MUST_CHECK;
enum cv_status fingerprint_of(struct str schema_json, uint64_t *out_fingerprint, struct err *err) CV_MUST_CHECK;

#endif
