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
replace_once("struct socket {\n" "struct socket {\n	SSL *ssl;\n")
replace_once("	conn->ssl = SSL_new(conn->dom_ctx->ssl_ctx);"
             "	conn->ssl = conn->client.ssl;\n	conn->client.ssl = NULL;")

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

# keep_alive_timeout_ms bounds the time without a request; from its first byte on it has request_timeout_ms like the
# first one. A connection that was idle is known as such when it is closed.
replace_once("struct mg_connection {\n" "struct mg_connection {\n	int idle;\n")
replace_once("	memset(&last_action_time, 0, sizeof(last_action_time));\n"
             "	memset(&last_action_time, 0, sizeof(last_action_time));\n	conn->idle = 0;\n")
replace_once("	if (conn->handled_requests > 0) {\n		if (conn->dom_ctx->config[KEEP_ALIVE_TIMEOUT]) {"
             "	if ((conn->handled_requests > 0) && (*nread == 0)) {\n		if (conn->dom_ctx->config[KEEP_ALIVE_TIMEOUT]) {")
replace_once("		if (n > 0) {\n			*nread += n;\n			request_len = get_http_header_len(buf, *nread);\n"
             "		if (n > 0) {
			if ((conn->handled_requests > 0) && (*nread == 0)) {
				conn->req_time = last_action_time;
				request_timeout = strtod(conn->dom_ctx->config[REQUEST_TIMEOUT], NULL) / 1000.0;
			}
			*nread += n;
			request_len = get_http_header_len(buf, *nread);\n")
replace_once("			    > request_timeout) {\n				/* Timeout */\n				return -1;"
             "			    > request_timeout) {\n				/* Timeout */
				conn->idle = (conn->handled_requests > 0) && (*nread == 0);\n				return -1;")

file(READ "${ADDED}" added)
file(WRITE "${TARGET}" "${text}${added}")
