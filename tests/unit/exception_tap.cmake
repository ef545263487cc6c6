include(${CMAKE_CURRENT_SOURCE_DIR}/lib/sp_core.cmake)
target_link_libraries(unit_exception_tap_test PRIVATE tas_sp_test)
