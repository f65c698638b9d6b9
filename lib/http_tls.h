/*
 * http_tls.h: makes the installed CivetWeb fit for TLS. Private to lib/http*.c.
 */
#ifndef CASEVIEW_LIB_HTTP_TLS_H
#define CASEVIEW_LIB_HTTP_TLS_H

#include "caseview/base.h"

/* Once CivetWeb has loaded OpenSSL, before it listens. True: TLS connections can be taken. */
bool http_tls_mend(void);

#endif
