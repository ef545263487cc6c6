include(${CMAKE_CURRENT_SOURCE_DIR}/lib/engine.cmake)
target_link_libraries(fuzz_program_fuzz PRIVATE tas_engine_test GTest::gtest Threads::Threads)
