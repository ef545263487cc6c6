# park.c itself, so that the test stands between two of its steps (TAS_YIELD).
include(${CMAKE_CURRENT_SOURCE_DIR}/lib/engine.cmake)
target_sources(unit_engine_grant_test PRIVATE ${CMAKE_SOURCE_DIR}/fastpath/park.c)
target_compile_definitions(unit_engine_grant_test PRIVATE TAS_TEST_YIELD)
target_link_libraries(unit_engine_grant_test PRIVATE tas_engine_test)
