#include "workers/ops/rebuild_carry_over.h"

enum cv_status rebuild_carry_over(struct rebuild *rebuild, const struct generation *to, struct err *err)
{
    (void)rebuild;
    (void)to;
    err_set(err, "carry-over is not possible yet");
    return CV_FATAL;
}
