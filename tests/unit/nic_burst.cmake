include(${CMAKE_CURRENT_SOURCE_DIR}/lib/engine.cmake)
target_include_directories(unit_nic_burst_test SYSTEM PRIVATE ${DPDK_INCLUDE_DIRS})
target_compile_options(unit_nic_burst_test PRIVATE $<$<COMPILE_LANGUAGE:C>:${DPDK_CFLAGS_OTHER}>)
target_link_libraries(unit_nic_burst_test PRIVATE tas_engine_test PkgConfig::DPDK)
