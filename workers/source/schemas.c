#include "workers/source/schemas.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <xxhash.h>

#include "caseview/buf.h"
#include "caseview/clock.h"
#include "caseview/log.h"
#include "workers/source/canonical.h"
#include "workers/source/fingerprint.h"
#include "workers/source/plan.h"
#include "workers/source/registry.h"

/* How long the registry's answer that it has no such schema is remembered. */
#define UNKNOWN_MS 3000

/* More writers' schemas than any platform has: with more, all are dropped and asked for again. */
#define IDS_MAX   8192
#define IDS_BYTES (32u << 20) /* of their plans */
#define SLOTS     (2 * IDS_MAX)
#define FILES_MAX 8192

/* Unknown ids, direct-mapped: one that evicts another only costs the registry a question. */
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
    char *folder;                 /* NULL: none */
    struct by_fingerprint *files; /* sorted */
    size_t file_count;
    struct registry *registry; /* NULL: none is configured */
    struct by_id slots[SLOTS];
    size_t id_count;
    size_t id_bytes;
    struct unknown_id unknown[UNKNOWN_SLOTS];
    bool changed; /* an answer has come since the last schemas_changed() */
};

/* The folder. */

static enum cv_status read_file(const char *path, struct buf *out, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
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
    struct str json = {text.data != NULL ? text.data : "", text.len};
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
    return dot != NULL && dot != entry->d_name && strcmp(dot, ".avsc") == 0;
}

static int compare_fingerprints(const void *a, const void *b)
{
    uint64_t left = ((const struct by_fingerprint *)a)->fingerprint;
    uint64_t right = ((const struct by_fingerprint *)b)->fingerprint;
    return (left > right) - (left < right);
}

static enum cv_status add_folder(struct schemas *schemas, struct err *err)
{
    const char *folder = schemas->folder;
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
    schemas->registry = registry != NULL ? registry_new(registry) : NULL;
    schemas->folder = folder != NULL ? cv_strdup(folder) : NULL;
    enum cv_status status = folder != NULL ? add_folder(schemas, err) : CV_OK;
    if (status != CV_OK) {
        schemas_close(schemas);
        return status;
    }
    *out_schemas = schemas;
    return CV_OK;
}

enum cv_status schemas_reload(struct schemas *schemas, size_t *out_added, struct err *err)
{
    size_t before = schemas->file_count;
    enum cv_status status = schemas->folder != NULL ? add_folder(schemas, err) : CV_OK;
    *out_added = schemas->file_count - before;
    return status;
}

static void forget_ids(struct schemas *schemas)
{
    for (size_t i = 0; i < SLOTS; i++)
        plan_free(schemas->slots[i].plan);
    memset(schemas->slots, 0, sizeof schemas->slots);
    schemas->id_count = 0;
    schemas->id_bytes = 0;
}

enum cv_status schemas_open_options(const struct config *config, struct schemas **out_schemas, struct err *err)
{
    const char *folder = config_text(config, "schema-dir");
    const char *registry = config_text(config, "schema-registry");
    if (folder == NULL && access(CASEVIEW_SCHEMA_DIR, R_OK | X_OK) == 0)
        folder = CASEVIEW_SCHEMA_DIR;
    if (folder == NULL && registry == NULL)
        log_warn("neither schema-dir nor schema-registry is given, and %s does not exist: no record can be decoded",
                 CASEVIEW_SCHEMA_DIR);
    return schemas_open(folder, registry, out_schemas, err);
}

void schemas_close(struct schemas *schemas)
{
    if (schemas == NULL)
        return;
    forget_ids(schemas);
    for (size_t i = 0; i < UNKNOWN_SLOTS; i++)
        free(schemas->unknown[i].text);
    for (size_t i = 0; i < schemas->file_count; i++)
        plan_free(schemas->files[i].plan);
    free(schemas->files);
    free(schemas->folder);
    registry_free(schemas->registry);
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
    while (schemas->slots[i].plan != NULL && schemas->slots[i].id != id)
        i = (i + 1) % SLOTS; /* ends: the table is never more than half full */
    return &schemas->slots[i];
}

static void add_unknown(struct schemas *schemas, uint32_t id, struct err *err)
{
    struct unknown_id *entry = &schemas->unknown[id % UNKNOWN_SLOTS];
    err_prefix(err, "schema %u", id);
    free(entry->text);
    *entry = (struct unknown_id){clock_mono_ms() + UNKNOWN_MS, id, cv_strdup(err->text)};
}

static void add_id(struct schemas *schemas, uint32_t id, struct schema_plan *plan)
{
    size_t bytes = plan_bytes(plan);
    if (schemas->id_count == IDS_MAX || schemas->id_bytes + bytes > IDS_BYTES)
        forget_ids(schemas);
    struct by_id *slot = find_slot(schemas, id);
    if (slot->plan != NULL) {
        plan_free(plan); /* the same answer again */
        return;
    }
    *slot = (struct by_id){plan, id};
    schemas->id_count++;
    schemas->id_bytes += bytes;
}

/* Compiles what the registry has answered. Here, not in its thread: the Avro library is for one thread. */
static void take_answers(struct schemas *schemas)
{
    struct registry_answer answer;
    while (registry_take(schemas->registry, &answer)) {
        struct schema_plan *plan = NULL;
        struct str text = {answer.schema.data != NULL ? answer.schema.data : "", answer.schema.len};
        if (answer.found && plan_compile(text, answer.externals, &plan, &answer.err) == CV_OK)
            add_id(schemas, answer.id, plan);
        else
            add_unknown(schemas, answer.id, &answer.err);
        registry_answer_done(&answer);
        schemas->changed = true;
    }
}

bool schemas_changed(struct schemas *schemas)
{
    if (schemas->registry == NULL)
        return false;
    take_answers(schemas);
    bool changed = schemas->changed;
    schemas->changed = false;
    return changed;
}

enum cv_status schemas_wait(struct schemas *schemas, int timeout_ms)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    while (schemas->registry != NULL && registry_is_asked(schemas->registry)) {
        int64_t left_ms = deadline_ms - clock_mono_ms();
        if (!registry_wait(schemas->registry, left_ms > 0 ? (int)left_ms : 0))
            return CV_RETRY;
        take_answers(schemas);
    }
    return CV_OK;
}

/* CV_OK, CV_PARK or CV_RETRY: not known, ask for it. */
static enum cv_status known_id(struct schemas *schemas, uint32_t id, const struct schema_plan **out_plan,
                               struct err *err)
{
    const struct by_id *slot = find_slot(schemas, id);
    if (slot->plan != NULL) {
        *out_plan = slot->plan;
        return CV_OK;
    }
    const struct unknown_id *unknown = &schemas->unknown[id % UNKNOWN_SLOTS];
    if (unknown->text == NULL || unknown->id != id || clock_mono_ms() >= unknown->until_ms)
        return CV_RETRY;
    err_set(err, "%s", unknown->text);
    return CV_PARK;
}

enum cv_status schemas_by_id(struct schemas *schemas, uint32_t id, const struct schema_plan **out_plan, struct err *err)
{
    enum cv_status status = known_id(schemas, id, out_plan, err);
    if (status != CV_RETRY)
        return status;
    if (schemas->registry == NULL) {
        err_set(err, "schema %u: no schema registry is configured (schema-registry)", id);
        return CV_PARK;
    }
    take_answers(schemas);
    status = known_id(schemas, id, out_plan, err);
    if (status == CV_RETRY && registry_ask(schemas->registry, id, err))
        registry_problem(schemas->registry, err);
    return status;
}
