include(${CMAKE_CURRENT_SOURCE_DIR}/lib/engine.cmake)
target_link_libraries(unit_engine_rest_test PRIVATE tas_engine_test)
