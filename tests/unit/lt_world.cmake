# libtas as a library beside a service made up by lt_world.c, for the lt_* tests. Everything but the exported wrappers.
if(NOT TARGET tas_lt_world)
	file(GLOB LT_WORLD_SRC CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/libtas/*.c)
	list(FILTER LT_WORLD_SRC EXCLUDE REGEX "/(tas-run|preload)\\.c$")
	add_library(tas_lt_world STATIC EXCLUDE_FROM_ALL ${LT_WORLD_SRC} ${CMAKE_CURRENT_SOURCE_DIR}/unit/lt_world.c)
	target_include_directories(tas_lt_world PUBLIC ${CMAKE_SOURCE_DIR}/libtas ${CMAKE_CURRENT_SOURCE_DIR}/unit)
	target_compile_definitions(tas_lt_world PRIVATE TAS_TEST_YIELD) # lt_world.c has the hook: between any two steps anything may happen
	target_link_libraries(tas_lt_world PUBLIC tas_flags Threads::Threads)
endif()
