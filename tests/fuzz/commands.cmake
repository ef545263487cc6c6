include(${CMAKE_CURRENT_SOURCE_DIR}/lib/sp_core.cmake)
target_link_libraries(fuzz_commands_fuzz PRIVATE tas_sp_test GTest::gtest Threads::Threads)
