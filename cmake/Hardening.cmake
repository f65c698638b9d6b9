# What every program of ours is compiled with: hardening flags and, in test builds, sanitizers.
add_library(cv_hardening INTERFACE)
target_compile_options(cv_hardening INTERFACE -fstack-protector-strong -fno-omit-frame-pointer -fno-common)
target_compile_definitions(cv_hardening INTERFACE _GNU_SOURCE)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
target_link_options(cv_hardening INTERFACE -Wl,-z,relro,-z,now)

if(CASEVIEW_SANITIZE)
  add_compile_options(-fsanitize=${CASEVIEW_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CASEVIEW_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_definitions(cv_hardening INTERFACE _FORTIFY_SOURCE=2)
  # assert() names its file: the bytes of a program must not depend on the folder it is built in.
  add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=" "-ffile-prefix-map=${CMAKE_BINARY_DIR}/=build/")
endif()
