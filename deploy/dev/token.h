/*
 * token.h: `caseview-dev token`: an issuer in a folder. `private.json` there holds the key pairs (readable by their
 * owner alone), `jwks.json` the public key set for caseview-api. Prints one signed token.
 */
#ifndef CASEVIEW_DEV_TOKEN_H
#define CASEVIEW_DEV_TOKEN_H

#include "caseview/config.h"

int token_main(struct config *config); /* an exit code */

#endif
