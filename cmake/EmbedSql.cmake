# embed_sql(TARGET DIR NAME): every DIR/x.sql becomes `const char sql_x[]`, declared in the generated header NAME.h.
function(embed_sql target dir name)
  file(GLOB files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${dir}/*.sql")
  set(out "${CMAKE_BINARY_DIR}/generated/${name}")
  add_custom_command(
    OUTPUT "${out}.c" "${out}.h"
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} "-DFILES=${files}" -P "${CMAKE_SOURCE_DIR}/cmake/EmbedSqlRun.cmake"
    DEPENDS ${files} "${CMAKE_SOURCE_DIR}/cmake/EmbedSqlRun.cmake"
    COMMENT "Embedding ${dir}/*.sql" VERBATIM)
  target_sources(${target} PRIVATE "${out}.c" "${out}.h")
  target_include_directories(${target} PUBLIC "${CMAKE_BINARY_DIR}/generated")
endfunction()
