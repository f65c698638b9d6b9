/*
 * token.h: `caseview-dev token`: a token issuer in a folder. `private.json` holds the key pairs (readable by the owner
 * only), `jwks.json` the public key set for caseview-api. Prints one signed token.
 */
#ifndef CASEVIEW_DEV_TOKEN_H
#define CASEVIEW_DEV_TOKEN_H

#include "caseview/config.h"

int token_main(struct config *config); /* an exit code */

#endif
