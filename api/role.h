/*
 * role.h: is this the role *Agent Impersonator*? Compared ignoring ASCII case and spaces, since the platform itself
 * writes it in several ways (contract, section 1).
 */
#ifndef CASEVIEW_API_ROLE_H
#define CASEVIEW_API_ROLE_H

#include "caseview/base.h"

bool role_is_impersonator(struct str role);
/* The same over a text[] in PostgreSQL's binary form, any dimensions; null items and a null array are no roles. */
bool role_array_has_impersonator(struct str array);

#endif
