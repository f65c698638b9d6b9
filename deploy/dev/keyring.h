/*
 * keyring.h: the key pairs of a folder, as JSON Web Keys that carry kid, alg and use. Made when missing; several
 * processes may use one folder at once.
 */
#ifndef CASEVIEW_DEV_KEYRING_H
#define CASEVIEW_DEV_KEYRING_H

#include <cjose/cjose.h>

#include "caseview/err.h"

/*
 * The private key named kid, for an algorithm (RS256, PS256, ES256). A new folder gets one key for each algorithm,
 * named by it in lower case; a kid that is not there is made. CV_OK or CV_FATAL. cjose_jwk_release() it.
 */
enum cv_status keyring_key(const char *folder, const char *algorithm, const char *kid, cjose_jwk_t **out_key,
                           struct err *err) CV_MUST_CHECK;

#endif
