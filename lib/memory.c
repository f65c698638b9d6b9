#include "caseview/memory.h"

#include "caseview/buf.h"
#include "caseview/file.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#define PROC_MAX   (4u << 20) /* of /proc/self/mountinfo: hosts with many containers have thousands of lines */
#define PATH_BYTES 8192
#define NO_LIMIT   UINT64_MAX
/* Version 1 writes "no limit" as the largest number of whole pages; no machine has this much. */
#define LEAST_UNLIMITED (UINT64_C(1) << 62)

#define MIB             (UINT64_C(1) << 20)
#define BUDGET_LEAST    (96 * MIB)
#define BUDGET_NO_LIMIT (256 * MIB)

/* A mounted cgroup hierarchy that has the memory controller, or (version 2) may have it. */
struct hierarchy {
    bool v2;
    const char *root;  /* the cgroup that is mounted, "/" for all of them */
    const char *point; /* where it is mounted */
};

/* Cuts the next word off *rest; "" at the end of the line. */
static char *next_word(char **rest)
{
    static char none[] = "";
    return *rest != NULL ? strsep(rest, " ") : none;
}

/* Resolves the octal escapes (`\040`) of mountinfo in place. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *p = text; *p != '\0';) {
        bool octal = p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' &&
                     p[3] <= '7';
        *out++ = octal ? (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0')) : *p;
        p += octal ? 4 : 1;
    }
    *out = '\0';
}

/* True when `list` has the comma-separated item `memory`. */
static bool has_memory(const char *list)
{
    for (const char *p = list; *p != '\0'; p += *p == ',') {
        size_t len = strcspn(p, ",");
        if (len == 6 && memcmp(p, "memory", len) == 0)
            return true;
        p += len;
    }
    return false;
}

/* A line of /proc/self/mountinfo (proc(5)): `36 35 0:31 ROOT POINT options [fields…] - TYPE source super-options`. */
static bool parse_mount(char *line, struct hierarchy *out)
{
    char *rest = line, *word;
    for (int i = 0; i < 3; i++)
        next_word(&rest);
    char *root = next_word(&rest), *point = next_word(&rest);
    do
        word = next_word(&rest);
    while (*word != '\0' && strcmp(word, "-") != 0);
    const char *type = next_word(&rest);
    next_word(&rest);
    bool v2 = strcmp(type, "cgroup2") == 0;
    if (!v2 && (strcmp(type, "cgroup") != 0 || !has_memory(next_word(&rest))))
        return false;
    unescape(root);
    unescape(point);
    *out = (struct hierarchy){v2, root, point};
    return true;
}

/* The process's path in the hierarchy, from /proc/self/cgroup: lines `ID:CONTROLLERS:PATH`, `0::PATH` of version 2. */
static bool find_path(const char *cgroups, bool v2, struct buf *out)
{
    for (const char *line = cgroups; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        char copy[512] = "";
        const char *controllers = memchr(line, ':', len);
        const char *path = controllers ? memchr(controllers + 1, ':', len - (size_t)(controllers + 1 - line)) : NULL;
        if (path != NULL) {
            size_t n = (size_t)(path - controllers - 1);
            memcpy(copy, controllers + 1, n < sizeof copy ? n : sizeof copy - 1);
            if (v2 ? n == 0 : has_memory(copy)) {
                buf_append(out, path + 1, len - (size_t)(path + 1 - line));
                return true;
            }
        }
        line += len + (line[len] == '\n');
    }
    return false;
}

/*
 * The part of a cgroup's path below the cgroup that is mounted. A path outside of it (another cgroup namespace, a
 * container that sees its host's path) gives "": the mount point is then the closest that can be read.
 */
static const char *below_mount(const char *path, const char *root)
{
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, len) != 0 || (path[len] != '\0' && path[len] != '/') || strstr(path, "/..") != NULL)
        return "";
    return strcmp(path + len, "/") == 0 ? "" : path + len;
}

/* The limit that a file names; NO_LIMIT for "max", a number that means none, or a file that is not there. */
static uint64_t read_limit(const char *path)
{
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, 64);
    uint64_t limit = 0;
    if (file_read(path, &text, NULL) != CV_OK || text.len == 0 || text.data[0] == '\n')
        return NO_LIMIT;
    for (const char *p = text.data; *p != '\0' && *p != '\n'; p++)
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(limit, 10, &limit) ||
            __builtin_add_overflow(limit, (uint64_t)(*p - '0'), &limit))
            return NO_LIMIT;
    return limit >= LEAST_UNLIMITED ? NO_LIMIT : limit;
}

/* The smallest limit from the process's cgroup up to the mount point. */
static uint64_t smallest_limit(const char *root, const struct hierarchy *hierarchy, const char *path)
{
    struct buf folder CV_CLEANUP(buf_done), file CV_CLEANUP(buf_done);
    buf_init(&folder, PATH_BYTES);
    buf_init(&file, PATH_BYTES);
    buf_printf(&folder, "%s%s", root, hierarchy->point);
    size_t top = folder.len;
    buf_puts(&folder, below_mount(path, hierarchy->root));
    if (folder.overflow)
        return NO_LIMIT;
    uint64_t smallest = NO_LIMIT;
    for (;;) {
        buf_reset(&file);
        buf_printf(&file, "%.*s/%s", (int)folder.len, folder.data,
                   hierarchy->v2 ? "memory.max" : "memory.limit_in_bytes");
        uint64_t limit = file.overflow ? NO_LIMIT : read_limit(file.data);
        if (limit < smallest)
            smallest = limit;
        if (folder.len <= top)
            return smallest;
        while (folder.len > top && folder.data[folder.len - 1] != '/')
            folder.len--;
        if (folder.len > top)
            folder.len--; /* the slash */
    }
}

size_t memory_cgroup_limit_below(const char *root)
{
    struct buf path CV_CLEANUP(buf_done), cgroups CV_CLEANUP(buf_done), mounts CV_CLEANUP(buf_done);
    buf_init(&path, PATH_BYTES);
    buf_init(&cgroups, PROC_MAX);
    buf_init(&mounts, PROC_MAX);
    buf_printf(&path, "%s/proc/self/cgroup", root);
    if (path.overflow || file_read(path.data, &cgroups, NULL) != CV_OK)
        return 0;
    buf_reset(&path);
    buf_printf(&path, "%s/proc/self/mountinfo", root);
    if (file_read(path.data, &mounts, NULL) != CV_OK)
        return 0;
    uint64_t smallest = NO_LIMIT;
    for (char *rest = mounts.data, *line; rest != NULL && (line = strsep(&rest, "\n")) != NULL;) {
        struct hierarchy hierarchy;
        buf_reset(&path);
        if (!parse_mount(line, &hierarchy) || cgroups.data == NULL || !find_path(cgroups.data, hierarchy.v2, &path))
            continue;
        uint64_t limit = smallest_limit(root, &hierarchy, path.data);
        if (limit < smallest)
            smallest = limit;
    }
    return smallest == NO_LIMIT ? 0 : smallest;
}

size_t memory_cgroup_limit(void)
{
    return memory_cgroup_limit_below("");
}

size_t memory_budget(size_t limit)
{
    if (limit == 0)
        return BUDGET_NO_LIMIT;
    return limit / 2 < BUDGET_LEAST ? BUDGET_LEAST : limit / 2;
}

int64_t memory_default_budget(void)
{
    return (int64_t)memory_budget(memory_cgroup_limit());
}

/* A threshold that is set stays: otherwise glibc raises it to the size of each mapping that is freed, up to 32 MiB. */
static void tune(int arenas_max, int mmap_threshold, int trim_threshold)
{
    mallopt(M_ARENA_MAX, arenas_max);
    mallopt(M_MMAP_THRESHOLD, mmap_threshold);
    mallopt(M_TRIM_THRESHOLD, trim_threshold);
}

void memory_tune(void)
{
    tune(2, 256 * 1024, 1024 * 1024);
}

void memory_tune_for_streams(void)
{
    tune(4, 8 * 1024 * 1024, 16 * 1024 * 1024);
}

void memory_give_back(void)
{
    malloc_trim(0);
}

size_t memory_resident(void)
{
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, 256);
    unsigned long pages = 0;
    if (file_read("/proc/self/statm", &text, NULL) != CV_OK || sscanf(text.data, "%*u %lu", &pages) != 1)
        return 0;
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}
