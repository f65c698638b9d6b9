# Strict warnings for our own code; errors only in our presets, so that a packager's newer compiler never breaks a build.
add_library(cv_warnings INTERFACE)
target_compile_options(cv_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2
  -Wundef -Wcast-qual -Wno-missing-field-initializers
  $<$<BOOL:${CASEVIEW_WERROR}>:-Werror>)

# C functions of the library that our programs must not use; tests may.
add_library(cv_banned INTERFACE)
target_compile_options(cv_banned INTERFACE "SHELL:-include ${CMAKE_SOURCE_DIR}/include/caseview/banned.h")
