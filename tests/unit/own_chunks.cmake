include(${CMAKE_CURRENT_SOURCE_DIR}/lib/engine.cmake)
target_link_libraries(unit_own_chunks_test PRIVATE tas_engine_test)
# Once more with TAS_YIELD() alive, so that other threads get between its steps.
target_sources(unit_own_chunks_test PRIVATE ${CMAKE_SOURCE_DIR}/fastpath/own_chunks.c lib/yield.c)
set_source_files_properties(${CMAKE_SOURCE_DIR}/fastpath/own_chunks.c lib/yield.c PROPERTIES COMPILE_DEFINITIONS TAS_TEST_YIELD)
