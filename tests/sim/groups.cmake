include(${CMAKE_CURRENT_SOURCE_DIR}/lib/engine.cmake)
target_link_libraries(sim_groups_test PRIVATE tas_engine_test)
