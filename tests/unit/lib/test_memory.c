#include "caseview/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "caseview/buf.h"

#define MIB          (UINT64_C(1) << 20)
#define V1_UNLIMITED "9223372036854771712"

#define CGROUP2_MOUNT    "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MEMORY_MOUNT  "33 25 0:29 / /sys/fs/cgroup/memory rw,nosuid shared:11 - cgroup cgroup rw,memory\n"
#define V1_CPU_MOUNT     "34 25 0:30 / /sys/fs/cgroup/cpu rw,nosuid shared:12 - cgroup cgroup rw,cpu,cpuacct\n"
#define OTHER_MOUNTS     "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n23 22 0:21 / /sys rw - sysfs sysfs rw\n"
#define HYBRID_V2_MOUNT  "30 25 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw\n"
#define CONTAINER_V1     "33 25 0:29 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:11 - cgroup cgroup rw,memory\n"
#define ESCAPED_V2_MOUNT "29 23 0:26 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n"

struct row {
    const char *name;
    const char *cgroup;    /* /proc/self/cgroup, NULL: not there */
    const char *mountinfo; /* /proc/self/mountinfo, NULL: not there */
    const char *files[8];  /* path, content, … */
    size_t expected;
};

static const struct row rows[] = {
    {"version 2, own limit",
     "0::/app.slice/x.service\n",
     OTHER_MOUNTS CGROUP2_MOUNT,
     {"/sys/fs/cgroup/app.slice/x.service/memory.max", "201326592\n"},
     192 * MIB},
    {"version 2, the parent's limit is smaller",
     "0::/a/b/c\n",
     CGROUP2_MOUNT,
     {"/sys/fs/cgroup/a/b/c/memory.max", "400000000\n", "/sys/fs/cgroup/a/b/memory.max", "max\n",
      "/sys/fs/cgroup/a/memory.max", "300000000\n"},
     300000000},
    {"version 2, max everywhere",
     "0::/a/b\n",
     CGROUP2_MOUNT,
     {"/sys/fs/cgroup/a/b/memory.max", "max\n", "/sys/fs/cgroup/a/memory.max", "max\n"},
     0},
    {"version 2, no file at all", "0::/\n", CGROUP2_MOUNT, {NULL}, 0},
    {"version 2 in a cgroup namespace of its own",
     "0::/\n",
     CGROUP2_MOUNT,
     {"/sys/fs/cgroup/memory.max", "134217728\n"},
     128 * MIB},
    {"version 2, moved out of its namespace's root",
     "0::/../other\n",
     CGROUP2_MOUNT,
     {"/sys/fs/cgroup/memory.max", "134217728\n"},
     128 * MIB},
    {"version 2, a mount point with a blank",
     "0::/a\n",
     ESCAPED_V2_MOUNT,
     {"/sys/fs/c group/a/memory.max", "134217728\n"},
     128 * MIB},
    {"version 1, own limit",
     "12:cpu,cpuacct:/x\n4:memory:/user.slice/x\n0::/ignored\n",
     V1_CPU_MOUNT V1_MEMORY_MOUNT,
     {"/sys/fs/cgroup/memory/user.slice/x/memory.limit_in_bytes", "201326592\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes", V1_UNLIMITED "\n", "/sys/fs/cgroup/cpu/x/memory.limit_in_bytes",
      "1\n"},
     192 * MIB},
    {"version 1, the parent's limit is smaller",
     "4:memory:/a/b\n",
     V1_MEMORY_MOUNT,
     {"/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", V1_UNLIMITED "\n",
      "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "100000000\n"},
     100000000},
    {"version 1, unlimited",
     "4:memory:/\n",
     V1_MEMORY_MOUNT,
     {"/sys/fs/cgroup/memory/memory.limit_in_bytes", V1_UNLIMITED "\n"},
     0},
    {"version 1, a container that sees its host's path",
     "4:memory:/docker/abc\n",
     CONTAINER_V1,
     {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"},
     256 * MIB},
    {"version 1, a container with another path",
     "4:memory:/kubepods/pod1/abc\n",
     CONTAINER_V1,
     {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"},
     256 * MIB},
    {"hybrid: memory is with version 1",
     "4:memory:/x\n1:name=systemd:/x\n0::/x\n",
     HYBRID_V2_MOUNT V1_MEMORY_MOUNT,
     {"/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "201326592\n"},
     192 * MIB},
    {"hybrid: memory is with version 2",
     "1:name=systemd:/x\n0::/x\n",
     HYBRID_V2_MOUNT V1_CPU_MOUNT,
     {"/sys/fs/cgroup/unified/x/memory.max", "201326592\n"},
     192 * MIB},
    {"not a number", "0::/\n", CGROUP2_MOUNT, {"/sys/fs/cgroup/memory.max", "12x\n"}, 0},
    {"an empty file", "0::/\n", CGROUP2_MOUNT, {"/sys/fs/cgroup/memory.max", "\n"}, 0},
    {"lines that end early", "0\n:\n4:memory\n", "29 23\n\n29 23 0:26 / /x rw -\n" V1_MEMORY_MOUNT, {NULL}, 0},
    {"no /proc", NULL, NULL, {"/sys/fs/cgroup/memory.max", "134217728\n"}, 0},
    {"no mountinfo", "0::/\n", NULL, {"/sys/fs/cgroup/memory.max", "134217728\n"}, 0},
};

static void put_file(const char *root, const char *path, const char *text)
{
    char name[512];
    snprintf(name, sizeof name, "%s%s", root, path);
    for (char *slash = strchr(name + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(name, 0700);
        *slash = '/';
    }
    FILE *file = fopen(name, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void test_cgroup_limit_of_each_layout(void **state CV_UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        char root[] = "/tmp/caseview-test-memory-XXXXXX", remove[64];
        assert_non_null(mkdtemp(root));
        if (row->cgroup != NULL)
            put_file(root, "/proc/self/cgroup", row->cgroup);
        if (row->mountinfo != NULL)
            put_file(root, "/proc/self/mountinfo", row->mountinfo);
        for (size_t k = 0; k + 1 < ARRAY_LEN(row->files) && row->files[k] != NULL; k += 2)
            put_file(root, row->files[k], row->files[k + 1]);
        size_t limit = memory_cgroup_limit_below(root);
        snprintf(remove, sizeof remove, "rm -r %s", root);
        assert_int_equal(system(remove), 0);
        if (limit != row->expected)
            fail_msg("%s: %zu instead of %zu", row->name, limit, row->expected);
    }
}

static void test_budget_is_half_within_bounds(void **state CV_UNUSED)
{
    assert_int_equal(memory_budget(0), 256 * MIB);
    assert_int_equal(memory_budget(1 * MIB), 96 * MIB);
    assert_int_equal(memory_budget(192 * MIB), 96 * MIB);
    assert_int_equal(memory_budget(1024 * MIB), 512 * MIB);
    assert_int_equal(memory_default_budget(), (int64_t)memory_budget(memory_cgroup_limit()));
}

static void test_resident_grows_with_what_is_written(void **state CV_UNUSED)
{
    size_t before = memory_resident(), size = 64 * MIB;
    assert_true(before > 0);
    char *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(block != MAP_FAILED);
    memset(block, 1, size);
    assert_true(memory_resident() >= before + size / 2);
    munmap(block, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cgroup_limit_of_each_layout),
        cmocka_unit_test(test_budget_is_half_within_bounds),
        cmocka_unit_test(test_resident_grows_with_what_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
