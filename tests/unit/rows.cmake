target_compile_definitions(unit_rows_test PRIVATE TAS_SOURCES="${CMAKE_SOURCE_DIR}")
