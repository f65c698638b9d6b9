/*
 * random.h: repeatable random numbers for property tests: prints the seed, takes it from CASEVIEW_TEST_SEED if set.
 */
#ifndef CASEVIEW_TESTS_RANDOM_H
#define CASEVIEW_TESTS_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct random {
    uint64_t state;
};

static inline struct random random_start(const char *test)
{
    const char *given = getenv("CASEVIEW_TEST_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
    printf("%s: CASEVIEW_TEST_SEED=%llu\n", test, (unsigned long long)seed);
    fflush(stdout);
    return (struct random){seed};
}

/* splitmix64: any seed will do. */
static inline uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 … count - 1 */
static inline unsigned random_below(struct random *random, unsigned count)
{
    return (unsigned)(random_next(random) % count);
}

static inline int random_chance(struct random *random, unsigned percent)
{
    return random_below(random, 100) < percent;
}

#endif
