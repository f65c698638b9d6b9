/*
 * keyring.h: the key pairs in a folder, as JSON Web Keys with kid, alg and use. Creates missing ones; several processes
 * may use one folder concurrently.
 */
#ifndef CASEVIEW_DEV_KEYRING_H
#define CASEVIEW_DEV_KEYRING_H

#include <cjose/cjose.h>

#include "caseview/err.h"

/*
 * Returns the private key named kid, for an algorithm (RS256, PS256, ES256); creates it when it is missing. A new
 * folder gets one key for each algorithm, named as the algorithm in lower case. CV_OK or CV_FATAL. The caller releases
 * the key with cjose_jwk_release().
 */
enum cv_status keyring_key(const char *folder, const char *algorithm, const char *kid, cjose_jwk_t **out_key,
                           struct err *err) CV_MUST_CHECK;

#endif
