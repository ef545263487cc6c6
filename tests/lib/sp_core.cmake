# The slow path without its start-up, over a fake fast path (sp_fake.c): for unit tests.
if(NOT TARGET tas_sp_test)
	file(GLOB SP_CORE CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/slowpath/*.c
		${CMAKE_SOURCE_DIR}/slowpath/conn/*.c ${CMAKE_SOURCE_DIR}/slowpath/net/*.c
		${CMAKE_SOURCE_DIR}/slowpath/cc/loop.c)
	list(FILTER SP_CORE EXCLUDE REGEX "/(main|startup)\\.c$")
	add_library(tas_sp_test STATIC ${SP_CORE} ${CMAKE_CURRENT_SOURCE_DIR}/lib/sp_fake.c)
	target_include_directories(tas_sp_test PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/lib
		${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/fastpath ${CMAKE_SOURCE_DIR}/slowpath)
	target_link_libraries(tas_sp_test PUBLIC tas_flags tas_wire tas_cc PkgConfig::CONFIG)
endif()
