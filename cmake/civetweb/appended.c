
/* --- Appended by Caseview's build (cmake/FindCivetWeb.cmake) ------------------------------------------------------ */

#include "civetweb_caseview.h"

void
mg_take_connection(struct mg_context *ctx, const struct mg_kept *kept)
{
	struct socket so;
	socklen_t len;

	memset(&so, 0, sizeof(so));
	so.sock = kept->fd;
	so.ssl = kept->ssl;
	so.is_ssl = (kept->ssl != NULL);
	so.begun = kept->begun;
	so.begun_len = kept->begun_len;
	so.deadline_ms = kept->deadline_ms;
	len = sizeof(so.rsa);
	if (getpeername(so.sock, &so.rsa.sa, &len) != 0) {
		memset(&so.rsa, 0, sizeof(so.rsa)); /* the client is gone: reading will tell */
	}
	len = sizeof(so.lsa);
	if (getsockname(so.sock, &so.lsa.sa, &len) != 0) {
		memset(&so.lsa, 0, sizeof(so.lsa));
	}
	produce_socket(ctx, &so);
}


void
mg_set_wanted(int fd)
{
	wanted_fd = fd;
}


void
mg_set_patience(int milliseconds)
{
	patience_ms = (milliseconds > 0) ? (now_ms() + milliseconds) : 0;
}


int
mg_gave_up(void)
{
	return gave_up;
}


void
mg_set_deadline(int timeout_ms)
{
	set_deadline(timeout_ms);
}


int
mg_has_more(const struct mg_connection *conn)
{
	int64_t used = conn->request_len + ((conn->content_len > 0) ? conn->content_len : 0);

	return (conn->data_len > used) || ((conn->ssl != NULL) && SSL_has_pending(conn->ssl));
}


void
mg_yield_connection(struct mg_connection *conn)
{
	conn->yields = 1;
}


int
mg_connection_fd(const struct mg_connection *conn)
{
	return conn->client.sock;
}


enum mg_release
mg_release_connection(struct mg_connection *conn, struct mg_kept *out)
{
	int begun_len = conn->data_len;

	memset(out, 0, sizeof(*out));
	if (!conn->unfinished && (!conn->idle || (begun_len > 0))) {
		return MG_NOT_RELEASED;
	}
	if (begun_len > 0) {
		out->begun = (char *)mg_malloc((size_t)begun_len);
		if (out->begun == NULL) {
			return MG_NOT_RELEASED;
		}
		memcpy(out->begun, conn->buf, (size_t)begun_len);
		out->begun_len = begun_len;
	}
	out->deadline_ms = deadline_ms;
	out->fd = conn->client.sock;
	out->ssl = conn->ssl;
	conn->ssl = NULL;
	conn->client.sock = INVALID_SOCKET;
	return conn->unfinished ? MG_UNFINISHED : MG_IDLE;
}
