/* Connection strings: what is refused, what is added to them, and what of them no message may show. */
#include "db_internal.h"

#include <ctype.h>

#include "caseview/buf.h"

/* Set unless the connection string does: a peer that has vanished is noticed within about 20 s instead of hours. */
static const struct {
    const char *keyword;
    const char *value;
} defaults[] = {
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "15000"},
};

/* Keywords whose values may contain ; and =. In all others these are signs of a connection string of another kind. */
static const char *const free_texts[] = {
    "password", "sslpassword", "options", "application_name", "fallback_application_name",
    "service",  "passfile",    "sslcert", "sslkey",           "sslrootcert",
    "sslcrl",   "sslcrldir",
};

enum { KEYWORDS_MAX = 96, MESSAGE_MAX = 16384 }; /* libpq 15 knows 43 keywords */

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        if (option->val != NULL && strcmp(option->keyword, keyword) == 0)
            return option->val;
    return NULL;
}

/* ---- what is refused ---- */

static enum cv_status refuse(struct err *err, const char *why)
{
    err_set(err, "database: not a valid connection string or URI: %s", why);
    return CV_FATAL;
}

static bool is_uri(const char *conninfo)
{
    return strncmp(conninfo, "postgresql://", 13) == 0 || strncmp(conninfo, "postgres://", 11) == 0;
}

/* An @ that libpq would read as part of a host or database name was meant to end user and password. */
static bool divides_cleanly(const char *uri)
{
    const char *authority = strstr(uri, "://") + 3, *at = strchr(authority, '@');
    return at == NULL || (strchr(at + 1, '@') == NULL && at < authority + strcspn(authority, "/?#"));
}

/* Each of the comma-separated ports is a number, or empty. */
static bool are_ports(const char *text)
{
    return strspn(text, "0123456789,") == strlen(text);
}

/* Each of the comma-separated hosts is a name, an address, or a folder of sockets. */
static bool are_hosts(const char *text)
{
    for (const char *item = text;; item++) {
        size_t len = strcspn(item, ",");
        bool socket = item[0] == '/' || item[0] == '@';
        for (size_t i = 0; i < len; i++) {
            unsigned char c = (unsigned char)item[i];
            if (c <= ' ' || c == 0x7f || strchr(";=\"'", c) != NULL)
                return false;
            if (!socket && c < 0x80 && !isalnum(c) && strchr("._:%-", c) == NULL)
                return false;
        }
        item += len;
        if (*item == '\0')
            return true;
    }
}

static bool is_free_text(const char *keyword)
{
    for (size_t i = 0; i < ARRAY_LEN(free_texts); i++)
        if (strcmp(free_texts[i], keyword) == 0)
            return true;
    return false;
}

/* Refuses values that libpq would take, and then show: a host named `x;password=y`, a port named as a password. */
static enum cv_status check_values(const PQconninfoOption *options, bool uri, struct err *err)
{
    const char *host = value_of(options, "host"), *port = value_of(options, "port");
    if (host != NULL && !are_hosts(host))
        return refuse(err, "the host is not a name, an address or a folder");
    if (port != NULL && !are_ports(port))
        return refuse(err, "the port is not a number");
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (uri || option->val == NULL || is_free_text(option->keyword) || strpbrk(option->val, ";=") == NULL)
            continue;
        err_set(err,
                "database: not a valid connection string or URI: the value of %s contains ; or = (its parts are "
                "divided by blanks)",
                option->keyword);
        return CV_FATAL;
    }
    return CV_OK;
}

/* libpq's own message is not used: it quotes the piece that it cannot read, which may be a part of a password. */
static enum cv_status parse(const char *conninfo, PQconninfoOption **out_options, struct err *err)
{
    bool uri = is_uri(conninfo);
    if (uri && !divides_cleanly(conninfo))
        return refuse(err, "one @ ends user and password, any other is written as %40, and a / ? # before it as %2F "
                           "%3F %23");
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    if (options == NULL)
        return refuse(err, uri ? "it needs percent-encoding, or has an unknown keyword"
                               : "a value needs quotes, or a keyword is unknown");
    enum cv_status status = check_values(options, uri, err);
    if (status != CV_OK)
        PQconninfoFree(options);
    else
        *out_options = options;
    return status;
}

/* ---- what is hidden ---- */

/* Hosts and ports are shown: they say what was tried to reach. Numbers are no secrets, and are part of addresses. */
static bool is_hidden(const PQconninfoOption *option)
{
    return option->val != NULL && strncmp(option->keyword, "host", 4) != 0 && strcmp(option->keyword, "port") != 0 &&
           strspn(option->val, "0123456789") != strlen(option->val);
}

static void remember_hidden(struct db *db, const PQconninfoOption *options)
{
    db->hidden = cv_zalloc(KEYWORDS_MAX * sizeof *db->hidden);
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        if (is_hidden(option) && db->hidden_count < KEYWORDS_MAX)
            db->hidden[db->hidden_count++] = cv_strdup(option->val);
}

void db_hidden_done(struct db *db)
{
    for (size_t i = 0; i < db->hidden_count; i++)
        free(db->hidden[i]);
    free(db->hidden);
    db->hidden = NULL;
    db->hidden_count = 0;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Length of the longest hidden value that text + at begins with as a whole word; 0: none. */
static size_t hidden_at(const struct db *db, const char *text, size_t at)
{
    size_t longest = 0;
    for (size_t i = 0; i < db->hidden_count; i++) {
        size_t len = strlen(db->hidden[i]);
        if (len <= longest || strncmp(text + at, db->hidden[i], len) != 0)
            continue;
        bool begins = at == 0 || !is_word(text[at]) || !is_word(text[at - 1]);
        bool ends = !is_word(text[at + len]) || !is_word(text[at + len - 1]);
        if (begins && ends)
            longest = len;
    }
    return longest;
}

char *db_hide(const struct db *db, const char *text)
{
    struct buf out;
    buf_init(&out, MESSAGE_MAX);
    for (size_t i = 0; text[i] != '\0' && !out.overflow;) {
        size_t len = hidden_at(db, text, i);
        if (len > 0)
            buf_puts(&out, "***");
        else
            buf_byte(&out, text[i]);
        i += len > 0 ? len : 1;
    }
    return out.data != NULL ? out.data : cv_strdup("");
}

/* ---- what is added ---- */

static bool has_several(const char *hosts)
{
    return hosts != NULL && strchr(hosts, ',') != NULL;
}

/*
 * With several hosts and nothing said, libpq takes the first that answers, a standby too. A service file may say what
 * is wanted, so it is left to it.
 */
static bool wants_primary(const PQconninfoOption *options)
{
    const char *host = value_of(options, "host"), *address = value_of(options, "hostaddr");
    if (value_of(options, "target_session_attrs") != NULL || getenv("PGTARGETSESSIONATTRS") != NULL ||
        value_of(options, "service") != NULL || getenv("PGSERVICE") != NULL)
        return false;
    return has_several(host) || has_several(address) || (host == NULL && has_several(getenv("PGHOST"))) ||
           (address == NULL && has_several(getenv("PGHOSTADDR")));
}

struct keywords {
    const char *keywords[KEYWORDS_MAX + 1];
    const char *values[KEYWORDS_MAX + 1];
    size_t count;
};

static void add(struct keywords *list, const char *keyword, const char *value)
{
    assert(list->count < KEYWORDS_MAX);
    list->keywords[list->count] = keyword;
    list->values[list->count++] = value;
}

static PGconn *start(const PQconninfoOption *options, const char *application_name)
{
    struct keywords list = {.count = 0};
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        if (option->val != NULL && strcmp(option->keyword, "client_encoding") != 0)
            add(&list, option->keyword, option->val);
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (value_of(options, defaults[i].keyword) == NULL)
            add(&list, defaults[i].keyword, defaults[i].value);
    if (value_of(options, "fallback_application_name") == NULL)
        add(&list, "fallback_application_name", application_name);
    if (wants_primary(options))
        add(&list, "target_session_attrs", "read-write");
    add(&list, "client_encoding", "UTF8");
    return PQconnectStartParams(list.keywords, list.values, 0);
}

enum cv_status db_start(struct db *db, const char *conninfo, const char *application_name, struct err *err)
{
    PQconninfoOption *options;
    enum cv_status status = parse(conninfo != NULL ? conninfo : "", &options, err);
    if (status != CV_OK)
        return status;
    remember_hidden(db, options);
    db->conn = start(options, application_name);
    PQconninfoFree(options);
    if (db->conn != NULL)
        return CV_OK;
    err_set(err, "database: out of memory");
    return CV_RETRY;
}
