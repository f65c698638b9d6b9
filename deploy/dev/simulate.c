#include "deploy/dev/simulate.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/stop.h"
#include "deploy/dev/parent.h"
#include "deploy/dev/simulate_agents.h"
#include "deploy/dev/simulate_directory.h"
#include "deploy/dev/simulate_manifest.h"

#define POLL_EVERY  256 /* events */
#define MANIFEST_MS 1000

/* Shares of events that are not case events, in ten thousandths. */
#define AGENT_SHARE     80
#define CUSTOMER_SHARE  300
#define DIRECTORY_SHARE 60

struct simulate {
    struct sink *sink;
    struct world *world;
    struct life *life;
    const char *manifest; /* path, NULL: none */
    uint64_t events;      /* 0: until stopped */
    uint64_t warm_up;
    int64_t rate; /* 0: as fast as possible */
    bool cases_only;
    int64_t started_us;
    int64_t paced_from_us; /* 0: not paced yet */
    uint64_t paced_count;
    int64_t next_manifest_ms;
};

static enum cv_status step(struct simulate *simulate, struct err *err)
{
    if (simulate->cases_only)
        return life_step(simulate->life, err);
    uint32_t dice = random_below(&simulate->world->random, 10000);
    if (dice < AGENT_SHARE)
        return agents_step(simulate->world, err);
    if (dice < AGENT_SHARE + CUSTOMER_SHARE)
        return directory_customer_step(simulate->world, err);
    if (dice < AGENT_SHARE + CUSTOMER_SHARE + DIRECTORY_SHARE)
        return directory_step(simulate->world, err);
    return life_step(simulate->life, err);
}

static enum cv_status duties(struct simulate *simulate, struct err *err)
{
    sink_poll(simulate->sink);
    if (simulate->manifest == NULL || clock_mono_ms() < simulate->next_manifest_ms)
        return CV_OK;
    simulate->next_manifest_ms = clock_mono_ms() + MANIFEST_MS;
    return manifest_write(simulate->manifest, simulate->world, simulate->life, err);
}

/* Sleeps until the next event is due. After a suspension of the machine the missed events are not sent in a burst. */
static enum cv_status pace(struct simulate *simulate, struct err *err)
{
    if (simulate->rate == 0 || sink_count(simulate->sink) < simulate->warm_up)
        return CV_OK;
    int64_t now_us = clock_mono_us();
    int64_t due_us = simulate->paced_from_us + (int64_t)(simulate->paced_count * 1000000 / (uint64_t)simulate->rate);
    if (simulate->paced_from_us == 0 || now_us - due_us > 1000000) {
        simulate->paced_from_us = now_us;
        simulate->paced_count = 0;
        due_us = now_us;
    }
    simulate->paced_count++;
    enum cv_status status = CV_OK;
    while (status == CV_OK && due_us - now_us >= 1000) {
        int64_t wait_ms = (due_us - now_us) / 1000;
        if (stop_wait(wait_ms > 200 ? 200 : (int)wait_ms))
            break;
        status = duties(simulate, err);
        now_us = clock_mono_us();
    }
    return status;
}

/* Sends the whole directory and the first choices of all agents. */
static enum cv_status publish(struct world *world, struct err *err)
{
    enum cv_status status = CV_OK;
    for (uint32_t i = 0; i < world->organization_count && status == CV_OK; i++) {
        status = directory_publish(world, &world->organizations[i], err);
        if (status == CV_OK)
            status = agents_publish(world, &world->organizations[i], err);
    }
    return status;
}

static enum cv_status run(struct simulate *simulate, struct err *err)
{
    enum cv_status status = publish(simulate->world, err);
    while (status == CV_OK && !stop_requested() &&
           (!simulate->events || sink_count(simulate->sink) < simulate->events)) {
        status = pace(simulate, err);
        if (status == CV_OK && !stop_requested())
            status = step(simulate, err);
        if (status == CV_OK && sink_count(simulate->sink) % POLL_EVERY == 0)
            status = duties(simulate, err);
    }
    if (stop_requested())
        status = CV_OK; /* an event interrupted by the stop is not a failure */
    if (status == CV_OK)
        status = sink_drain(simulate->sink, err);
    if (status == CV_OK && simulate->manifest != NULL)
        status = manifest_write(simulate->manifest, simulate->world, simulate->life, err);
    return status;
}

static void report(const struct simulate *simulate)
{
    double seconds = (double)(clock_mono_us() - simulate->started_us) / 1e6;
    unsigned long long count = sink_count(simulate->sink);
    log_info("%llu events in %.1f s, %.0f events/s", count, seconds,
             (double)count / (seconds > 0.001 ? seconds : 0.001));
}

static enum cv_status open_all(struct simulate *simulate, struct config *config, struct err *err)
{
    if (config_operand(config, 0) != NULL) {
        err_set(err, "unexpected word: %s", config_shown(config_operand(config, 0)));
        return CV_FATAL;
    }
    enum cv_status status = sink_open(config, &simulate->sink, err);
    if (status != CV_OK)
        return status;
    simulate->manifest = config_text(config, "manifest");
    simulate->events = (uint64_t)config_int(config, "events");
    simulate->warm_up = (uint64_t)config_int(config, "warm-up");
    simulate->rate = config_int(config, "rate");
    uint32_t events_per_case = (uint32_t)config_int(config, "events-per-case");
    simulate->cases_only = events_per_case == 1;
    struct world_options options = {.seed = (uint64_t)config_int(config, "seed"),
                                    .wall_clock = strcmp(config_text(config, "clock"), "wall") == 0,
                                    .organizations = (uint32_t)config_int(config, "organizations")};
    simulate->world = world_new(&options, simulate->sink);
    directory_create(simulate->world, (uint32_t)config_int(config, "agents"));
    agents_create(simulate->world);
    simulate->life = life_new(simulate->world, (uint32_t)config_int(config, "cases"), events_per_case);
    return CV_OK;
}

int simulate_main(struct config *config)
{
    struct simulate simulate = {.started_us = clock_mono_us()};
    struct err err = ERR_INIT;
    if (config_flag(config, "end-with-parent"))
        parent_end_with();
    enum cv_status status = open_all(&simulate, config, &err);
    if (status == CV_OK) {
        simulate.started_us = clock_mono_us();
        status = run(&simulate, &err);
        report(&simulate);
    }
    if (status != CV_OK)
        log_error("%s", err.text);
    life_free(simulate.life);
    world_free(simulate.world);
    sink_close(simulate.sink);
    return status == CV_OK ? CV_EXIT_OK : status == CV_RETRY ? CV_EXIT_UNREACHABLE : CV_EXIT_USAGE;
}
