/*
 * http_refuse.h: answers 503 to a connection whose request no thread could take in time. Private to lib/http*.c.
 */
#ifndef CASEVIEW_LIB_HTTP_REFUSE_H
#define CASEVIEW_LIB_HTTP_REFUSE_H

#include "caseview/http_message.h"
#include "http_door.h"

/*
 * refused makes the answer, with refusal_status 503; NULL: a bare one. Reads what has arrived and writes the answer
 * without waiting; with TLS only where the handshake is done. The caller closes the connection.
 */
void http_refuse_waiting(void (*refused)(void *context, const struct http_request *, struct http_response *),
                         void *context, const struct http_kept *kept);

#endif
