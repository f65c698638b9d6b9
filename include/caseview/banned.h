/*
 * banned.h: makes the use of some functions of libc a compile error: they take no length, report no errors, or are not
 * thread-safe. The build includes it before every file (-include), so it first includes the headers that declare them.
 */
#ifndef CASEVIEW_BANNED_H
#define CASEVIEW_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* No length; use snprintf, memcpy or buf. strncpy may omit the NUL. */
#pragma GCC poison strcpy strcat stpcpy strncpy strncat sprintf vsprintf gets
/* No errors; parse digits as config_check.c does. */
#pragma GCC poison atoi atol atoll atof
/* Static state; use strtok_r, clock_iso, arc4random. (rand is the name of a parameter in headers of OpenSSL 3.) */
#pragma GCC poison strtok asctime ctime gmtime localtime srand srandom drand48 tmpnam mktemp

#endif
