# manual(): manual pages and completion for bash come from the option table, so the built programs print them
# (include/caseview/manual.h), and they are installed where man and bash look.
function(manual)
  if(CMAKE_CROSSCOMPILING)
    message(WARNING "cross-compiling: no manual pages and no completion, which the built programs would print")
    return()
  endif()
  set(out "${CMAKE_BINARY_DIR}/manual")
  set(commands worker migrate status pause resume parked cursor explain verify repair rebuild)
  add_custom_command(
    OUTPUT "${out}/done"
    COMMAND ${CMAKE_COMMAND} "-DOUT=${out}" "-DCASEVIEW=$<TARGET_FILE:caseview>" "-DAPI=$<TARGET_FILE:caseview-api>"
            "-DCOMMANDS=${commands}" -P "${CMAKE_SOURCE_DIR}/cmake/ManualRun.cmake"
    DEPENDS caseview caseview-api "${CMAKE_SOURCE_DIR}/cmake/ManualRun.cmake"
    COMMENT "Printing manual pages and completion" VERBATIM)
  add_custom_target(manual ALL DEPENDS "${out}/done")
  install(DIRECTORY "${out}/man1/" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT manual)
  install(DIRECTORY "${out}/completions/" DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions"
          COMPONENT manual)
endfunction()
