include(${CMAKE_CURRENT_SOURCE_DIR}/lib/sp_core.cmake)
target_link_libraries(fuzz_config_fuzz PRIVATE tas_sp_test)
# The words of the language: the options' names.
file(STRINGS ${CMAKE_SOURCE_DIR}/slowpath/config.def rows REGEX "^X\\(")
list(TRANSFORM rows REPLACE "^X\\([A-Z0-9]+, ([a-z_0-9]+),.*" "\"\\1 = \"")
list(JOIN rows "\n" words)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/config.dict "${words}\n")
set(fuzz_options "-dict=${CMAKE_CURRENT_BINARY_DIR}/config.dict -seed_inputs=${CMAKE_SOURCE_DIR}/etc/tas.conf")
