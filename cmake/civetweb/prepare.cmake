# Makes civetweb.c of Debian's source package fit for Caseview: cmake -DSOURCE=… -DTARGET=… -DADDED=… -P prepare.cmake.
# Each change names the text it replaces, which must occur exactly once: another version that differs there stops the
# build instead of misbehaving.
file(READ "${SOURCE}" text)

function(replace_once before after)
  string(FIND "${text}" "${before}" first)
  string(FIND "${text}" "${before}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "${SOURCE}: this version of CivetWeb is not known, no single place for:\n${before}")
  endif()
  string(REPLACE "${before}" "${after}" text "${text}")
  set(text "${text}" PARENT_SCOPE)
endfunction()

# Connections come from mg_take_connection() alone, with an SSL object that is made there.
replace_once("	if (!set_ports_option(ctx)) {"
             "	if ((ctx->dd.config[LISTENING_PORTS][0] != 0) && !set_ports_option(ctx)) {")
replace_once("struct socket {\n" "struct socket {\n	SSL *ssl;\n	char *begun;\n	int begun_len;\n	int64_t deadline_ms;\n")
replace_once("	conn->ssl = SSL_new(conn->dom_ctx->ssl_ctx);"
             "	conn->ssl = conn->client.ssl;\n	conn->client.ssl = NULL;")

# mg_stop() writes the flag that all threads read.
replace_once("typedef int volatile stop_flag_t;" "typedef _Atomic int stop_flag_t;")

# White space before a request can make its header block seem complete: what an earlier connection of the thread left
# behind it in the buffer is not part of it.
replace_once("parse_http_request(conn->buf, conn->buf_size, &conn->request_info)"
             "parse_http_request(conn->buf, conn->data_len, &conn->request_info)")

# A tab is white space in a header field (RFC 9110, section 5.5).
replace_once("&& !isprint(c)) {" "&& !isprint(c) && (c != 9)) {")

# lib/http.c decides about methods, targets, codings, upgrades and when a connection is kept: CivetWeb would close it, or
# drop the request without an answer, for a method or target that it does not know and for white space after a coding.
replace_once("	return (get_http_method_info(method) != NULL);"
             "	return (get_http_method_info(method) != NULL) || (method[0] != 0);")
replace_once("	                      conn->request_info.num_headers,
	                      \"Transfer-Encoding\"))
	     != NULL)
	    && mg_strcasecmp(cl, \"identity\")) {
		if (mg_strcasecmp(cl, \"chunked\")) {"
             "	                      conn->request_info.num_headers,
	                      \"Transfer-Encoding\"))
	     != NULL)
	    && mg_strcasecmp(cl, \"identity\")) {
		if (mg_strncasecmp(cl, \"chunked\", 7)) {")
replace_once("	header = mg_get_header(conn, \"Connection\");" "	header = \"keep-alive\";")
replace_once("			uri_type = get_uri_type(conn->request_info.request_uri);" "			uri_type = 2;")
replace_once("			conn->protocol_type = should_switch_to_protocol(conn);"
             "			conn->protocol_type = PROTOCOL_TYPE_HTTP1;")

# A thread's deadline ends every wait for its connection: CivetWeb's own time-outs begin again with each byte that was
# read or written. A request, with the TLS handshake before the first one, has request_timeout_ms from the moment when
# its thread has it, a later one from its first byte on; the deadline of the answer is set by mg_set_deadline(). A wait
# for input also ends when the thread is wanted (mg_set_wanted()).
replace_once("static int\nmg_poll(struct mg_pollfd *pfd,\n"
             "/* On CLOCK_MONOTONIC, of the connection that the thread serves; 0: none. */
static __thread int64_t deadline_ms;

static int64_t
now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((int64_t)now.tv_sec * 1000) + (now.tv_nsec / 1000000);
}

/* timeout_ms: from now on; 0: none. */
static void
set_deadline(int timeout_ms)
{
	deadline_ms = (timeout_ms > 0) ? (now_ms() + timeout_ms) : 0;
}

/* Of mg_set_wanted() and mg_set_patience(). gave_up: the last wait ended because the thread was wanted. */
static __thread int wanted_fd = -1;
static __thread int64_t patience_ms;
static __thread int gave_up;

/* poll(), but the wait ends when the thread is wanted: for input at once, for output after its patience. */
static int
poll_unless_wanted(struct mg_pollfd *pfd, unsigned int n, int milliseconds)
{
	struct mg_pollfd both[2];
	int for_input = (n == 1) && ((pfd[0].events & POLLIN) != 0);
	int result;

	if ((wanted_fd < 0) || (!for_input && ((patience_ms == 0) || (now_ms() < patience_ms)))) {
		return poll(pfd, n, milliseconds);
	}
	both[0] = pfd[0];
	both[1].fd = wanted_fd;
	both[1].events = POLLIN;
	result = poll(both, 2, milliseconds);
	pfd[0].revents = both[0].revents;
	gave_up = (result > 0) && (both[0].revents == 0);
	if (gave_up) {
		errno = ETIME; /* version 1.16 waits on after a failure with EAGAIN */
		return -1;
	}
	return (result > 0) ? 1 : result;
}


static int\nmg_poll(struct mg_pollfd *pfd,\n")
replace_once("	int check_pollerr = 0;\n	if ((n == 1)"
             "	int check_pollerr = 0;

	gave_up = 0;
	if (deadline_ms != 0) {
		int64_t left_ms = deadline_ms - now_ms();
		if (left_ms <= 0) {
			return -1;
		}
		if ((milliseconds < 0) || (left_ms < milliseconds)) {
			milliseconds = (int)left_ms;
		}
	}
	if ((n == 1)")
replace_once("		result = poll(pfd, n, ms_now);" "		result = poll_unless_wanted(pfd, n, ms_now);")
replace_once("			pollres = mg_poll(pfd, 1, (int)(ms_wait), &(ctx->stop_flag));\n"
             "			pollres = mg_poll(pfd, 1, (int)(ms_wait), &(ctx->stop_flag));
			if (pollres < 0) {
				return -2;
			}\n")
replace_once("		conn->conn_birth_time = time(NULL);\n\n		/* Fill in IP, port info early"
             "		conn->conn_birth_time = time(NULL);
		begin_connection(conn);\n\n		/* Fill in IP, port info early")
replace_once("/* Prepare connection data structure */\nstatic void\ninit_connection"
             "/* The thread has a connection: takes what was read of its request before. */
static void
begin_connection(struct mg_connection *conn)
{
	conn->idle = conn->yields = conn->unfinished = gave_up = 0;
	patience_ms = 0;
	conn->data_len = conn->client.begun_len;
	if (conn->data_len > 0) {
		memcpy(conn->buf, conn->client.begun, (size_t)conn->data_len);
	}
	mg_free(conn->client.begun);
	conn->client.begun = NULL;
	set_deadline(atoi(conn->phys_ctx->dd.config[REQUEST_TIMEOUT]));
	if (conn->client.deadline_ms != 0) {
		deadline_ms = conn->client.deadline_ms;
	}
}


/* Prepare connection data structure */\nstatic void\ninit_connection")
replace_once("	 * goes to crule42. */\n	conn->data_len = 0;" "	 * goes to crule42. Caseview: begin_connection() does. */")

# keep_alive_timeout_ms bounds the time without a request. A connection that was idle, or that mg_yield_connection() was
# called for, is known as such when it is closed; so is one in the middle of its handshake or of a header block, for
# which a thread that was wanted did not wait.
replace_once("struct mg_connection {\n" "struct mg_connection {\n	int idle;\n	int yields;\n	int unfinished;\n")
replace_once("					    mg_poll(&pfd, 1, 50, &(conn->phys_ctx->stop_flag));\n"
             "					    mg_poll(&pfd, 1, 50, &(conn->phys_ctx->stop_flag));\n					conn->unfinished = gave_up;\n")
replace_once("	if (ret != 1) {\n		SSL_free(conn->ssl);\n		conn->ssl = NULL;\n		OPENSSL_REMOVE_THREAD_STATE();\n		return 0;\n	}\n\n	return 1;"
             "	if (conn->unfinished) {\n		return 0;\n	}
	if (ret != 1) {\n		SSL_free(conn->ssl);\n		conn->ssl = NULL;\n		OPENSSL_REMOVE_THREAD_STATE();\n		return 0;\n	}\n\n	return 1;")
replace_once("		if (n == -2) {\n			/* Receive error */\n			return -1;"
             "		if (n == -2) {
			/* Receive error, or not waited for */
			conn->idle = gave_up && (conn->handled_requests > 0) && (*nread == 0);
			conn->unfinished = gave_up && !conn->idle;
			return -1;")
replace_once("	if (conn->request_len <= 0) {\n		if (conn->data_len > 0) {\n			mg_snprintf(conn,
			            NULL, /* No truncation check for ebuf */
			            ebuf,
			            ebuf_len,
			            \"%s\",
			            \"Malformed message\");"
             "	if (conn->request_len <= 0) {\n		if ((conn->data_len > 0) && !conn->unfinished) {\n			mg_snprintf(conn,
			            NULL, /* No truncation check for ebuf */
			            ebuf,
			            ebuf_len,
			            \"%s\",
			            \"Malformed message\");")
replace_once("	memset(&last_action_time, 0, sizeof(last_action_time));\n"
             "	memset(&last_action_time, 0, sizeof(last_action_time));
	conn->idle = (conn->handled_requests > 0) && conn->yields && (*nread == 0)
	             && ((conn->ssl == NULL) || !SSL_has_pending(conn->ssl));
	conn->yields = 0;
	if (conn->idle) {
		return -1;
	}
	if (conn->handled_requests > 0) {
		set_deadline((*nread > 0) ? atoi(conn->dom_ctx->config[REQUEST_TIMEOUT]) : 0);
	}\n")
replace_once("	if (conn->handled_requests > 0) {\n		if (conn->dom_ctx->config[KEEP_ALIVE_TIMEOUT]) {"
             "	if ((conn->handled_requests > 0) && (*nread == 0)) {\n		if (conn->dom_ctx->config[KEEP_ALIVE_TIMEOUT]) {")
replace_once("		if (n > 0) {\n			*nread += n;\n			request_len = get_http_header_len(buf, *nread);\n"
             "		if (n > 0) {
			if ((conn->handled_requests > 0) && (*nread == 0)) {
				conn->req_time = last_action_time;
				request_timeout = strtod(conn->dom_ctx->config[REQUEST_TIMEOUT], NULL) / 1000.0;
				set_deadline(atoi(conn->dom_ctx->config[REQUEST_TIMEOUT]));
			}
			*nread += n;
			request_len = get_http_header_len(buf, *nread);\n")
replace_once("			    > request_timeout) {\n				/* Timeout */\n				return -1;"
             "			    > request_timeout) {\n				/* Timeout */
				conn->idle = (conn->handled_requests > 0) && (*nread == 0);\n				return -1;")

file(READ "${ADDED}" added)
file(WRITE "${TARGET}" "${text}${added}")
