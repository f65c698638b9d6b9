# A release is optimized as a whole: a worker takes a twentieth less CPU time. Not with tests, which replace functions by
# --wrap, to which the linker is blind then; benchmarks set the variable themselves.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT CASEVIEW_TESTS AND NOT DEFINED CMAKE_INTERPROCEDURAL_OPTIMIZATION)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT CASEVIEW_IPO LANGUAGES C)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ${CASEVIEW_IPO})
endif()
