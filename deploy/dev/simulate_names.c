#include "deploy/dev/simulate_names.h"

#include <stdio.h>

static const char *const first_names[] = {
    "John",  "Maria", "Wei",   "Fatima", "Noa",      "Bruce", "Chloé", "Jürgen", "Siobhán", "Olga",
    "Kenji", "Aisha", "Mateo", "Zoë",    "François", "Ivan",  "דנה",   "Nguyễn", "Ana",     "Łukasz",
};
static const char *const last_names[] = {
    "Doe",      "Springsteen", "Müller",  "O'Brien", "Cohen",  "García",   "Smith-Jones", "Nowak",   "李",     "לוי",
    "Håkonsen", "Petrov",      "D'Souza", "Sato",    "Öztürk", "van Dijk", "Okafor",      "Ferrari", "Łuczak", "Brown",
};
static const char *const cities[] = {
    "Jerusalem", "Berlin", "São Paulo", "Kraków", "Zürich", "Leeds",
    "Tromsø",    "Haifa",  "Montréal",  "Ōsaka",  "Málaga", "Cork",
};
static const char *const unit_parts[] = {"", " Centre", " North", " Town Hall", " – 2nd floor", " (Main St.)"};
static const char *const categories[] = {"Inquiry",     "Registration", "Licences", "Payments & refunds",
                                         "Social care", "Passports",    "Accounts", "Loans"};
static const char *const types[] = {"Special Inquiry", "First visit",  "Renewal",     "Change of address", "Complaint",
                                    "Collection",      "Consultation", "\"Express\"", "Follow-up"};
static const char *const inboxes[] = {"Reception", "Counter", "Back office", "Video room", "Call-backs", "VIP ★"};
static const char *const workspaces[] = {"Front desk", "Back office", "Phones", "Video", "Evening shift", "Training"};

#define PICK(random, table) ((table)[random_below((random), ARRAY_LEN(table))])

void name_make(struct random *random, enum entity_kind kind, uint32_t index, char out[NAME_SIZE])
{
    const char *first;
    switch (kind) {
    case ENTITY_UNIT:
        snprintf(out, NAME_SIZE, "%s%s", cities[index % ARRAY_LEN(cities)], PICK(random, unit_parts));
        break;
    case ENTITY_SERVICE_CATEGORY:
        snprintf(out, NAME_SIZE, "%s", PICK(random, categories));
        break;
    case ENTITY_SERVICE_TYPE:
        snprintf(out, NAME_SIZE, "%s", PICK(random, types));
        break;
    case ENTITY_INBOX:
        snprintf(out, NAME_SIZE, "%s", PICK(random, inboxes));
        break;
    case ENTITY_WORKSTATION:
        snprintf(out, NAME_SIZE, "%s %u", random_chance(random, 5000) ? "Desk" : "Counter", index + 1);
        break;
    case ENTITY_WORKSPACE:
        snprintf(out, NAME_SIZE, "%s", PICK(random, workspaces));
        break;
    case ENTITY_USER:
    case ENTITY_CUSTOMER:
        first = PICK(random, first_names); /* two statements: C does not order the evaluation of arguments */
        snprintf(out, NAME_SIZE, "%s %s", first, PICK(random, last_names));
        break;
    case ENTITY_APPLICATION:
        snprintf(out, NAME_SIZE, "Application %u", index + 1);
        break;
    }
}

static size_t letter_length(const char *text)
{
    size_t len = 1;
    while (((unsigned char)text[len] & 0xc0) == 0x80)
        len++;
    return len;
}

void name_initials(const char *name, char *out, size_t size)
{
    const char *last = strrchr(name, ' ');
    last = last ? last + 1 : name;
    snprintf(out, size, "%.*s%.*s", (int)letter_length(name), name, (int)letter_length(last), last);
}

const char *name_color(struct random *random)
{
    static const char *const colors[] = {"#03a9f4", "#8bc34a", "#ff9800", "#9c27b0", "#607d8b"};
    return PICK(random, colors);
}
