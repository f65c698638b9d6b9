#include "caseview/clock.h"

#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_cpu_us(void)
{
    return read_us(CLOCK_PROCESS_CPUTIME_ID);
}

static char *put2(char *out, unsigned n)
{
    out[0] = (char)('0' + n / 10);
    out[1] = (char)('0' + n % 10);
    return out + 2;
}

/* Writes the date of a day number (0: 1970-01-01). Counts 400-year eras from 0000-03-01: leap days then come last. */
static char *put_date(char *out, int64_t day)
{
    uint32_t days = (uint32_t)(day + 719468); /* since 0000-03-01; never negative in years 1–9999 */
    uint32_t era = days / 146097;
    uint32_t day_of_era = days % 146097;
    uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100); /* from 1 March */
    uint32_t month_from_march = (5 * day_of_year + 2) / 153;
    uint32_t day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    uint32_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    uint32_t year = year_of_era + era * 400 + (month <= 2);
    out = put2(out, year / 100);
    out = put2(out, year % 100);
    *out++ = '-';
    out = put2(out, month);
    *out++ = '-';
    return put2(out, day_of_month);
}

size_t clock_iso(int64_t us, char out[CLOCK_ISO_MAX])
{
    assert(us >= CLOCK_MIN_US && us <= CLOCK_MAX_US);
    const int64_t day_us = INT64_C(86400000000);
    int64_t day = us / day_us;
    int64_t rest = us % day_us;
    if (rest < 0) {
        rest += day_us;
        day--;
    }
    unsigned second = (unsigned)(rest / 1000000);
    unsigned fraction = (unsigned)(rest % 1000000);

    char *p = put_date(out, day);
    *p++ = 'T';
    p = put2(p, second / 3600);
    *p++ = ':';
    p = put2(p, second / 60 % 60);
    *p++ = ':';
    p = put2(p, second % 60);
    if (fraction > 0) {
        *p++ = '.';
        p = put2(p, fraction / 10000);
        p = put2(p, fraction / 100 % 100);
        p = put2(p, fraction % 100);
        while (p[-1] == '0')
            p--;
    }
    *p++ = 'Z';
    return (size_t)(p - out);
}
