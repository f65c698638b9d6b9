#include "workers/ops/carry_over_page.h"

#include "caseview/failpoint.h"

enum cv_status carry_over_begin(struct carry_over *carry, struct err *err)
{
    return db_script(carry->target, "BEGIN", OPERATION_QUERY_TIMEOUT_MS, err);
}

void carry_over_advance(struct rebuild_step *step, int rows, size_t written, const void *key, size_t key_len)
{
    assert(key_len <= sizeof step->after_key);
    step->seen += rows;
    step->changed += (int64_t)written;
    step->has_after = true;
    step->after_len = key_len;
    memcpy(step->after_key, key, key_len);
}

enum cv_status carry_over_commit(struct carry_over *carry, struct rebuild_step *step, struct err *err)
{
    enum cv_status status = rebuild_step_save(carry->rebuild, step, err);
    FAIL_POINT("carry.written");
    return status == CV_OK ? db_script(carry->target, "COMMIT", OPERATION_QUERY_TIMEOUT_MS, err) : status;
}
