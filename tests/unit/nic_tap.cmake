include(${CMAKE_CURRENT_SOURCE_DIR}/lib/engine.cmake)
target_link_libraries(unit_nic_tap_test PRIVATE tas_engine_test)
