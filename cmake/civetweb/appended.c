
/* --- Appended by Caseview's build (cmake/FindCivetWeb.cmake) ------------------------------------------------------ */

void
mg_take_connection(struct mg_context *ctx, int fd, struct ssl_st *ssl)
{
	struct socket so;
	socklen_t len;

	memset(&so, 0, sizeof(so));
	so.sock = fd;
	so.ssl = ssl;
	so.is_ssl = (ssl != NULL);
	len = sizeof(so.rsa);
	if (getpeername(fd, &so.rsa.sa, &len) != 0) {
		memset(&so.rsa, 0, sizeof(so.rsa)); /* the client is gone: reading will tell */
	}
	len = sizeof(so.lsa);
	if (getsockname(fd, &so.lsa.sa, &len) != 0) {
		memset(&so.lsa, 0, sizeof(so.lsa));
	}
	produce_socket(ctx, &so);
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


int
mg_release_connection(struct mg_connection *conn, struct ssl_st **out_ssl)
{
	int fd = conn->client.sock;

	if (!conn->idle || (conn->data_len != 0)) {
		return -1;
	}
	*out_ssl = conn->ssl;
	conn->ssl = NULL;
	conn->client.sock = INVALID_SOCKET;
	return fd;
}
