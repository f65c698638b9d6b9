# CivetWeb is built from Debian's source package (deploy/packages fetches it), as a static library: with IPv6 and for
# OpenSSL 3, which Debian's own build leaves out, without what Caseview does not use (files, CGI, WebSockets, Lua), and
# with the changes of civetweb/prepare.cmake.
set(CIVETWEB_SOURCE "/usr/src/caseview/civetweb" CACHE PATH "Unpacked source of CivetWeb 1.15 or 1.16")
find_file(CivetWeb_C civetweb.c PATHS "${CIVETWEB_SOURCE}/src" NO_DEFAULT_PATH NO_CACHE)
find_package(OpenSSL 3 REQUIRED)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CivetWeb REQUIRED_VARS CivetWeb_C
  REASON_FAILURE_MESSAGE "its source is not in ${CIVETWEB_SOURCE}, fetch it by deploy/packages install build")

if(CivetWeb_FOUND AND NOT TARGET CivetWeb::CivetWeb)
  set(civetweb_dir "${CMAKE_BINARY_DIR}/civetweb")
  set(civetweb_parts "${CMAKE_CURRENT_LIST_DIR}/civetweb")
  add_custom_command(OUTPUT "${civetweb_dir}/civetweb.c"
    COMMAND ${CMAKE_COMMAND} "-DSOURCE=${CivetWeb_C}" "-DTARGET=${civetweb_dir}/civetweb.c"
            "-DADDED=${civetweb_parts}/appended.c" -P "${civetweb_parts}/prepare.cmake"
    DEPENDS "${CivetWeb_C}" "${civetweb_parts}/prepare.cmake" "${civetweb_parts}/appended.c"
    COMMENT "Preparing CivetWeb" VERBATIM)
  add_library(civetweb STATIC "${civetweb_dir}/civetweb.c")
  add_library(CivetWeb::CivetWeb ALIAS civetweb)
  target_include_directories(civetweb SYSTEM PUBLIC "${CIVETWEB_SOURCE}/include" "${civetweb_parts}"
                             PRIVATE "${CIVETWEB_SOURCE}/src")
  # Its threads notice mg_stop() only that often; by default a program would take up to 2 s to end.
  target_compile_definitions(civetweb PRIVATE SOCKET_TIMEOUT_QUANTUM=100)
  target_compile_definitions(civetweb PRIVATE USE_IPV6 OPENSSL_API_3_0 NO_SSL_DL NO_CGI NO_FILES NO_CACHING)
  target_compile_options(civetweb PRIVATE -w -fno-sanitize=undefined) # not our code, but its threads run ours
  target_link_libraries(civetweb PUBLIC OpenSSL::SSL OpenSSL::Crypto PRIVATE cv_hardening)
endif()
