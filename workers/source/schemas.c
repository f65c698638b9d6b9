#include "workers/source/schemas.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "caseview/buf.h"
#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/retry.h"
#include "workers/source/consume.h"
#include "workers/source/fingerprint.h"
#include "workers/source/plan.h"
#include "workers/source/registry.h"

#define REGISTRY_TIMEOUT_MS 5000
#define RETRY_BASE_MS       200
#define RETRY_MAX_MS        5000

/* How long an id that the registry does not know, or holds no schema under, is believed. */
#define UNKNOWN_MS 3000

/* More writers' schemas than any platform has: with more, all are forgotten and read again when met. */
#define IDS_MAX   8192
#define SLOTS     (2 * IDS_MAX)
#define FILES_MAX 8192

/* Bad ids, direct-mapped: one that comes in another's place only costs the registry a question. */
#define UNKNOWN_SLOTS 256

struct by_id {
    struct schema_plan *plan; /* NULL: free */
    uint32_t id;
};

struct by_fingerprint {
    uint64_t fingerprint;
    struct schema_plan *plan;
};

struct unknown_id {
    int64_t until_ms;
    uint32_t id;
    char *text;
};

struct schemas {
    struct by_fingerprint *files; /* sorted */
    size_t file_count;
    char *registry;
    struct by_id slots[SLOTS];
    size_t id_count;
    struct unknown_id unknown[UNKNOWN_SLOTS];
    struct retry retry;
    char last_failure[sizeof((struct err *)0)->text];
    struct decoder *decoder;
};

struct decoder *schemas_decoder(struct schemas *schemas)
{
    return schemas->decoder;
}

const struct decoder *schemas_decoder_const(const struct schemas *schemas)
{
    return schemas->decoder;
}

/* The folder. */

static enum cv_status read_file(const char *path, struct buf *out, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        err_set(err, "%s: %s", path, strerror(errno));
        return CV_FATAL;
    }
    char chunk[16384];
    size_t got;
    errno = 0;
    while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_append(out, chunk, got);
    bool failed = ferror(file);
    int error = errno;
    fclose(file);
    if (failed)
        err_set(err, "%s: %s", path, strerror(error));
    else if (out->overflow)
        err_set(err, "%s: larger than %u bytes", path, SCHEMA_MAX_BYTES);
    return failed || out->overflow ? CV_FATAL : CV_OK;
}

static enum cv_status add_file(struct schemas *schemas, const char *path, struct err *err)
{
    CV_CLEANUP(buf_done) struct buf text;
    buf_init(&text, SCHEMA_MAX_BYTES);
    enum cv_status status = read_file(path, &text, err);
    if (status != CV_OK)
        return status;
    struct str json = {text.data ? text.data : "", text.len};
    struct by_fingerprint entry;
    status = fingerprint_of(json, &entry.fingerprint, err);
    for (size_t i = 0; status == CV_OK && i < schemas->file_count; i++)
        if (schemas->files[i].fingerprint == entry.fingerprint)
            return CV_OK; /* the same schema again: only its texts differ */
    if (status == CV_OK)
        status = plan_compile(json, NULL, &entry.plan, err);
    if (status != CV_OK) {
        err_prefix(err, "%s", path);
        return CV_FATAL;
    }
    schemas->files = cv_realloc(schemas->files, (schemas->file_count + 1) * sizeof *schemas->files);
    schemas->files[schemas->file_count++] = entry;
    return CV_OK;
}

static int is_schema_file(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && dot != entry->d_name && strcmp(dot, ".avsc") == 0;
}

static int compare_fingerprints(const void *a, const void *b)
{
    uint64_t left = ((const struct by_fingerprint *)a)->fingerprint;
    uint64_t right = ((const struct by_fingerprint *)b)->fingerprint;
    return (left > right) - (left < right);
}

static enum cv_status add_folder(struct schemas *schemas, const char *folder, struct err *err)
{
    struct dirent **names;
    int count = scandir(folder, &names, is_schema_file, alphasort);
    if (count < 0) {
        err_set(err, "schema folder %s: %s", folder, strerror(errno));
        return CV_FATAL;
    }
    enum cv_status status = CV_OK;
    if (count > FILES_MAX) {
        err_set(err, "schema folder %s: more than %d files", folder, FILES_MAX);
        status = CV_FATAL;
    }
    for (int i = 0; i < count; i++) {
        if (status == CV_OK) {
            CV_CLEANUP(buf_done) struct buf path;
            buf_init(&path, SIZE_MAX);
            buf_printf(&path, "%s/%s", folder, names[i]->d_name);
            status = add_file(schemas, path.data, err);
        }
        free(names[i]);
    }
    free(names);
    if (schemas->file_count)
        qsort(schemas->files, schemas->file_count, sizeof *schemas->files, compare_fingerprints);
    return status;
}

enum cv_status schemas_open(const char *folder, const char *registry, struct schemas **out_schemas, struct err *err)
{
    struct schemas *schemas = cv_zalloc(sizeof *schemas);
    schemas->decoder = decoder_new();
    schemas->registry = registry ? cv_strdup(registry) : NULL;
    retry_init(&schemas->retry, RETRY_BASE_MS, RETRY_MAX_MS);
    enum cv_status status = folder ? add_folder(schemas, folder, err) : CV_OK;
    if (status != CV_OK) {
        schemas_close(schemas);
        return status;
    }
    *out_schemas = schemas;
    return CV_OK;
}

static void forget_ids(struct schemas *schemas)
{
    for (size_t i = 0; i < SLOTS; i++)
        plan_free(schemas->slots[i].plan);
    memset(schemas->slots, 0, sizeof schemas->slots);
    schemas->id_count = 0;
}

enum cv_status schemas_open_options(const struct config *config, struct schemas **out_schemas, struct err *err)
{
    const char *folder = config_text(config, "schema-dir");
    const char *registry = config_text(config, "schema-registry");
    if (!folder && access(CASEVIEW_SCHEMA_DIR, R_OK | X_OK) == 0)
        folder = CASEVIEW_SCHEMA_DIR;
    if (!folder && !registry)
        log_warn("neither schema-dir nor schema-registry is given, and %s is not there: no record can be decoded",
                 CASEVIEW_SCHEMA_DIR);
    return schemas_open(folder, registry, out_schemas, err);
}

void schemas_close(struct schemas *schemas)
{
    if (!schemas)
        return;
    forget_ids(schemas);
    for (size_t i = 0; i < UNKNOWN_SLOTS; i++)
        free(schemas->unknown[i].text);
    for (size_t i = 0; i < schemas->file_count; i++)
        plan_free(schemas->files[i].plan);
    free(schemas->files);
    free(schemas->registry);
    decoder_free(schemas->decoder);
    free(schemas);
}

enum cv_status schemas_by_fingerprint(struct schemas *schemas, uint64_t fingerprint,
                                      const struct schema_plan **out_plan, struct err *err)
{
    size_t low = 0, high = schemas->file_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (schemas->files[middle].fingerprint < fingerprint)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < schemas->file_count && schemas->files[low].fingerprint == fingerprint) {
        *out_plan = schemas->files[low].plan;
        return CV_OK;
    }
    err_set(err, "no schema in the schema folder has the fingerprint %016llx", (unsigned long long)fingerprint);
    return CV_PARK;
}

/* The registry. */

static struct by_id *find_slot(struct schemas *schemas, uint32_t id)
{
    size_t i = XXH3_64bits(&id, sizeof id) % SLOTS;
    while (schemas->slots[i].plan && schemas->slots[i].id != id)
        i = (i + 1) % SLOTS; /* ends: the table is never more than half full */
    return &schemas->slots[i];
}

/* The back-off is the registry's, not an id's: what is known already is not held up by it. */
static enum cv_status registry_away(struct schemas *schemas, struct err *err)
{
    snprintf(schemas->last_failure, sizeof schemas->last_failure, "%s", err->text);
    int wait_ms = retry_failed(&schemas->retry);
    if (retry_worth_logging(&schemas->retry))
        log_warn("%s; its records wait, next try in %d ms", err->text, wait_ms);
    return CV_RETRY;
}

static enum cv_status remember_unknown(struct schemas *schemas, uint32_t id, const struct err *err)
{
    struct unknown_id *entry = &schemas->unknown[id % UNKNOWN_SLOTS];
    free(entry->text);
    *entry = (struct unknown_id){clock_mono_ms() + UNKNOWN_MS, id, cv_strdup(err->text)};
    return CV_PARK;
}

static enum cv_status ask_registry(struct schemas *schemas, uint32_t id, struct schema_plan **out_plan, struct err *err)
{
    CV_CLEANUP(buf_done) struct buf text;
    buf_init(&text, SCHEMA_MAX_BYTES);
    json_t *externals = NULL;
    enum cv_status status = registry_get(schemas->registry, id, REGISTRY_TIMEOUT_MS, &text, &externals, err);
    if (status == CV_OK && text.overflow) {
        err_set(err, "the schema is larger than %u bytes", SCHEMA_MAX_BYTES);
        status = CV_PARK;
    }
    if (status == CV_OK)
        status = plan_compile((struct str){text.data ? text.data : "", text.len}, externals, out_plan, err);
    json_decref(externals);
    if (status == CV_PARK)
        err_prefix(err, "schema %u", id);
    return status;
}

enum cv_status schemas_by_id(struct schemas *schemas, uint32_t id, const struct schema_plan **out_plan, struct err *err)
{
    struct by_id *slot = find_slot(schemas, id);
    if (slot->plan) {
        *out_plan = slot->plan;
        return CV_OK;
    }
    if (!schemas->registry) {
        err_set(err, "schema %u: there is no schema registry to ask (schema-registry)", id);
        return CV_PARK;
    }
    const struct unknown_id *unknown = &schemas->unknown[id % UNKNOWN_SLOTS];
    if (unknown->text && unknown->id == id && clock_mono_ms() < unknown->until_ms) {
        err_set(err, "%s", unknown->text);
        return CV_PARK;
    }
    if (!retry_due(&schemas->retry)) {
        err_set(err, "%s", schemas->last_failure);
        return CV_RETRY;
    }
    struct err own_err = ERR_INIT;
    struct schema_plan *plan = NULL;
    enum cv_status status = ask_registry(schemas, id, &plan, err ? err : &own_err);
    if (status == CV_RETRY)
        return registry_away(schemas, err ? err : &own_err);
    retry_reset(&schemas->retry);
    if (status == CV_PARK)
        return remember_unknown(schemas, id, err ? err : &own_err);
    if (schemas->id_count == IDS_MAX) {
        forget_ids(schemas);
        slot = find_slot(schemas, id);
    }
    *slot = (struct by_id){plan, id};
    schemas->id_count++;
    *out_plan = plan;
    return status;
}
