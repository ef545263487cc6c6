# As unit/ctl_server.
target_sources(fuzz_ctl_fuzz PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/unit/ctl_fake.c
	${CMAKE_SOURCE_DIR}/slowpath/ctl/server.c ${CMAKE_SOURCE_DIR}/slowpath/ctl/page.c
	${CMAKE_SOURCE_DIR}/slowpath/door.c ${CMAKE_SOURCE_DIR}/slowpath/ctl/explain.c
	${CMAKE_SOURCE_DIR}/slowpath/ctl/flows.c ${CMAKE_SOURCE_DIR}/slowpath/ctl/counters.c)
target_link_libraries(fuzz_ctl_fuzz PRIVATE tas_cc)
