# The engine and the port in memory, for tests of the fast path.
if(NOT TARGET tas_engine_test)
	add_library(tas_engine_test STATIC ${CMAKE_CURRENT_SOURCE_DIR}/lib/mem_nic.c)
	target_link_libraries(tas_engine_test PUBLIC tas_fastpath)
	target_compile_options(tas_engine_test PRIVATE -Wno-missing-prototypes)
endif()
