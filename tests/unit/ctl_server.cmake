# The control server over invented records (ctl_fake.c).
target_sources(unit_ctl_server_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/unit/ctl_fake.c
	${CMAKE_SOURCE_DIR}/slowpath/ctl/server.c ${CMAKE_SOURCE_DIR}/slowpath/ctl/page.c
	${CMAKE_SOURCE_DIR}/slowpath/door.c ${CMAKE_SOURCE_DIR}/slowpath/ctl/explain.c
	${CMAKE_SOURCE_DIR}/slowpath/ctl/flows.c ${CMAKE_SOURCE_DIR}/slowpath/ctl/counters.c)
