include(${CMAKE_CURRENT_SOURCE_DIR}/unit/lt_world.cmake)
target_link_libraries(unit_lt_explain_test PRIVATE tas_lt_world)
