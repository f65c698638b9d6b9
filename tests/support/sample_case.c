#include "tests/support/sample_case.h"

struct uuid sample_uuid(unsigned number)
{
    struct uuid uuid = {{0}};
    for (unsigned i = 0; i < sizeof uuid.b; i++)
        uuid.b[i] = (uint8_t)((number >> (8 * (i % 4))) ^ (0x5b + 37 * i));
    return uuid;
}

static struct uuid id(const char *text)
{
    struct uuid uuid;
    bool ok = uuid_parse(str_of(text), &uuid);
    assert(ok);
    return uuid;
}

struct case_fields sample_page_fields(void)
{
    const char *picture = "https://pictures.example/public/profiles/f1af71e8-3ba4-4034-b4f2-9a8b7c6d5e4f";
    return (struct case_fields){
        .status = STR("Active"),
        .status_date = INT64_C(1712834018008222),
        .rank = 3.7090777e37f,
        .ticket = {.present = true, .prefix = STR("A"), .number = 119},
        .locked_by = {true, id("accef80a-0491-4865-8f1b-66778899aabb"), STR("John Doe"), STR("JD"), str_of(picture)},
        .unit = {true, id("37da50e0-ba32-4718-bf3f-261f7e1c6a02"), STR("Jerusalem")},
        .inbox = {id("d4afcd15-3b94-4b86-82f8-e2525cc0ac06"), STR("Reception"), STR("#03a9f4")},
        .channel = STR("FaceToFace"),
        .customer = {true, id("8ab4307c-5f1c-4537-b0d5-2c4e6a8b0d1f"), id("51c0d69d-9d23-46af-9bc0-3d5f7b9c1e20"),
                     STR("Bruce Springsteen")},
        .contact_phone_number = STR("+12221234567"),
        .printed_ticket = true,
        .case_timestamp = INT64_C(1712834033404068),
        .service_category = {true, id("72406b29-b8c7-4358-8ac1-0f9e8d7c6b5a"), STR("Inquiry")},
        .service_type = {true, id("0a526645-8401-4df6-a060-1a2b3c4d5e6f"), STR("Special Inquiry")},
        .reference_date = INT64_C(1709216427330563),
        .date_opened = INT64_C(1709216427330563),
        .entry_mode = STR("WalkIn"),
    };
}

/* One of a few texts, no two variants below 4 alike. */
static struct str text(unsigned variant, const char *a, const char *b, const char *c, const char *d)
{
    const char *const texts[] = {a, b, c, d};
    return str_of(texts[variant % 4]);
}

static struct user_ref user(unsigned variant)
{
    return (struct user_ref){.present = true,
                             .id = sample_uuid(100 + variant),
                             .display_name = text(variant, "John Doe", "Noa \"N\" Levi", "דנה", "😀 Ünal"),
                             .initials = text(variant, "JD", "NL", "", NULL),
                             .picture = text(variant, "https://pictures.example/1", NULL, "p\\2", "")};
}

struct case_fields sample_fields(unsigned variant)
{
    int64_t time = INT64_C(1712834018008222) + variant * INT64_C(1000001);
    return (struct case_fields){
        .status = text(variant, "Active", "Waiting", "active", "Hold"),
        .status_date = time,
        .has_date_closed = true,
        .date_closed = time + 1,
        .rank = (float)variant + 0.25f,
        .ticket = {true, text(variant, "A", NULL, "", "B"), text(variant, NULL, "x", "y", ""), (int32_t)variant - 1},
        .locked_by = user(variant),
        .workstation = {true, sample_uuid(200 + variant), text(variant, "Desk 1", "Desk 2", NULL, "")},
        .unit = {true, sample_uuid(300 + variant), text(variant, "Jerusalem", "Haifa", NULL, "")},
        .inbox = {sample_uuid(400 + variant), text(variant, "Reception", "Desk", NULL, ""),
                  text(variant, "#03a9f4", NULL, "", "red")},
        .assigned_to = user(variant + 50),
        .channel = text(variant, "FaceToFace", "Video", "Phone", "Chat"),
        .customer = {true, sample_uuid(500 + variant), sample_uuid(600 + variant),
                     text(variant, "Bruce Springsteen", NULL, "", "שלום")},
        .contact_phone_number = text(variant, "+12221234567", NULL, "", "1"),
        .contact_email = text(variant, NULL, "a@b.example", "c", ""),
        .printed_ticket = variant % 2,
        .online_meeting = text(variant, "{\"url\":\"https://meet.example/1\"}", NULL, "{}", "{ \"a\" : [1e400] }"),
        .case_timestamp = time + 2,
        .service_category = {true, sample_uuid(700 + variant), text(variant, "Inquiry", "Order", NULL, "")},
        .service_type = {true, sample_uuid(800 + variant), text(variant, "Special", NULL, "Usual", "")},
        .reference_date = time + 3,
        .date_opened = time + 4,
        .entry_mode = text(variant, "WalkIn", "Appointment", "Kiosk", ""),
    };
}

struct case_event sample_event(enum case_event_type type, int64_t sequence, unsigned variant)
{
    return (struct case_event){.type = type,
                               .organization_id = sample_uuid(1),
                               .case_id = sample_uuid(2),
                               .sequence = sequence,
                               .fields = sample_fields(variant)};
}
