# libtas as a whole, with the exported wrappers, beside the service made up for its tests.
file(GLOB src CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/libtas/*.c)
list(FILTER src EXCLUDE REGEX "/tas-run\\.c$")
target_sources(bench_libtas PRIVATE ${src} ${CMAKE_SOURCE_DIR}/tests/unit/lt_world.c)
target_include_directories(bench_libtas PRIVATE ${CMAKE_SOURCE_DIR}/libtas ${CMAKE_SOURCE_DIR}/tests/unit)
set_target_properties(bench_libtas PROPERTIES C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
set_source_files_properties(${CMAKE_SOURCE_DIR}/tests/unit/lt_world.c PROPERTIES COMPILE_OPTIONS -Wno-missing-prototypes) # its hook for steps has no use here
