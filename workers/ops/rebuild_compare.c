#include "workers/ops/rebuild_command.h"

enum cv_status rebuild_compare(struct rebuild *rebuild, int *out_exit_code, struct err *err)
{
    (void)rebuild;
    (void)out_exit_code;
    err_set(err, "compare is not possible yet");
    return CV_FATAL;
}
