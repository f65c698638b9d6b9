/*
 * Debian 12 builds CivetWeb 1.15 for OpenSSL 1.1's names. It looks all functions up by name at run time, does not find
 * SSL_get_peer_certificate in OpenSSL 3 (it became a macro), goes on all the same, and calls through the null pointer
 * after every handshake: the first TLS client would end the process. Its table cannot be reached through its interface,
 * so the one empty slot is found in its data, by the name that stands beside it, and filled.
 *
 * A CivetWeb without such a slot needs nothing; this is also what later builds look like.
 */
#include "http_tls.h"

#include <link.h>
#include <string.h>

/* CivetWeb's `struct ssl_func`. */
struct slot {
    const char *name;
    int category;
    void (*function)(void);
};

/* Clients are never asked for a certificate, so none has one. */
static void *no_certificate(void *ssl)
{
    (void)ssl;
    return NULL;
}

/* Does `text` lie in the library, so that it may be read? Names are constants in one of its segments. */
static bool is_inside(const struct dl_phdr_info *library, uintptr_t text, size_t size)
{
    for (size_t i = 0; i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &library->dlpi_phdr[i];
        uintptr_t begin = library->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && text >= begin && text + size <= begin + segment->p_memsz)
            return true;
    }
    return false;
}

static void mend_segment(const struct dl_phdr_info *library, uintptr_t begin, size_t size)
{
    static const char wanted[] = "SSL_get_peer_certificate";
    for (size_t at = 0; at + sizeof(struct slot) <= size; at += sizeof(void *)) {
        struct slot slot;
        memcpy(&slot, (const char *)begin + at, sizeof slot);
        if (slot.function || slot.category != 0 || !is_inside(library, (uintptr_t)slot.name, sizeof wanted) ||
            memcmp(slot.name, wanted, sizeof wanted) != 0)
            continue;
        slot.function = (void (*)(void))no_certificate;
        memcpy((char *)begin + at, &slot, sizeof slot);
    }
}

static int visit(struct dl_phdr_info *library, size_t size, void *context)
{
    (void)size;
    bool *found = context;
    if (!library->dlpi_name || !strstr(library->dlpi_name, "libcivetweb.so"))
        return 0;
    *found = true;
    for (size_t i = 0; i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &library->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W))
            mend_segment(library, library->dlpi_addr + segment->p_vaddr, segment->p_memsz);
    }
    return 1;
}

bool http_tls_mend(void)
{
    bool found = false;
    dl_iterate_phdr(visit, &found);
    return found;
}
