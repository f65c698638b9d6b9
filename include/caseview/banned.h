/*
 * banned.h: names of libc that may not compile: they do not know how much room there is, hide what went wrong, or are
 * not safe between threads. It is put in front of every file by the build (-include), so it reads first the headers
 * that declare them.
 */
#ifndef CASEVIEW_BANNED_H
#define CASEVIEW_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* No length: snprintf, memcpy, buf. strncpy leaves out the NUL. */
#pragma GCC poison strcpy strcat stpcpy strncpy strncat sprintf vsprintf gets
/* No errors: parse digits as config_check.c does. */
#pragma GCC poison atoi atol atoll atof
/* Static state: strtok_r, clock_iso, arc4random. (rand is the name of a parameter in headers of OpenSSL 3.) */
#pragma GCC poison strtok asctime ctime gmtime localtime srand srandom drand48 tmpnam mktemp

#endif
