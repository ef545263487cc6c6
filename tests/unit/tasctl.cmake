# The tool itself, against the control server over invented records (ctl_fake.c).
target_sources(unit_tasctl_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/unit/ctl_fake.c
	${CMAKE_SOURCE_DIR}/slowpath/ctl/server.c ${CMAKE_SOURCE_DIR}/slowpath/ctl/page.c
	${CMAKE_SOURCE_DIR}/slowpath/ctl/flows.c ${CMAKE_SOURCE_DIR}/slowpath/ctl/counters.c
	${CMAKE_SOURCE_DIR}/slowpath/door.c ${CMAKE_SOURCE_DIR}/slowpath/ctl/explain.c
	${CMAKE_SOURCE_DIR}/slowpath/tasctl/units.c)
target_compile_definitions(unit_tasctl_test PRIVATE TASCTL="$<TARGET_FILE:tasctl>")
add_dependencies(unit_tasctl_test tasctl)
