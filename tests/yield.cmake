# yield/: the daemon and libtas once more with TAS_YIELD() alive (include/tas/yield.h), in folders as of a build of its own,
# for e2e/forced_sleeps. Nothing of it is installed.
set(YIELD_DIR ${CMAKE_BINARY_DIR}/yield)
set(YIELD_SRC ${CMAKE_SOURCE_DIR}/slowpath/main.c ${CMAKE_CURRENT_SOURCE_DIR}/lib/yield.c)
set(todo tas_slowpath) # and every library of ours that it needs
set(seen)
while(todo)
	list(POP_FRONT todo lib)
	list(APPEND seen ${lib})
	get_target_property(dir ${lib} SOURCE_DIR)
	get_target_property(src ${lib} SOURCES)
	foreach(file ${src})
		cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${dir})
		list(APPEND YIELD_SRC ${file})
	endforeach()
	get_target_property(needs ${lib} LINK_LIBRARIES)
	foreach(other ${needs})
		if(TARGET ${other} AND NOT other IN_LIST seen AND NOT other IN_LIST todo)
			get_target_property(type ${other} TYPE)
			if(type STREQUAL STATIC_LIBRARY)
				list(APPEND todo ${other})
			endif()
		endif()
	endforeach()
endwhile()
add_executable(tas_yielding ${YIELD_SRC})
target_include_directories(tas_yielding PRIVATE ${CMAKE_SOURCE_DIR}/fastpath ${CMAKE_SOURCE_DIR}/slowpath)
target_include_directories(tas_yielding SYSTEM PRIVATE ${DPDK_INCLUDE_DIRS})
target_compile_options(tas_yielding PRIVATE -O1 ${DPDK_CFLAGS_OTHER})
target_link_libraries(tas_yielding PRIVATE tas_flags PkgConfig::DPDK PkgConfig::NUMA PkgConfig::CONFIG PkgConfig::CRYPTO
	PkgConfig::SYSTEMD Threads::Threads)

get_target_property(src tas_lib SOURCES)
add_library(tas_lib_yielding SHARED ${src} ${CMAKE_CURRENT_SOURCE_DIR}/lib/yield.c)
set_target_properties(tas_lib_yielding PROPERTIES C_VISIBILITY_PRESET hidden)
target_link_libraries(tas_lib_yielding PRIVATE tas_plain_flags)
target_link_options(tas_lib_yielding PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/libtas/libtas.map -Wl,-z,now)

add_executable(tas_run_yielding ${CMAKE_SOURCE_DIR}/libtas/tas-run.c ${CMAKE_SOURCE_DIR}/libtas/tas-run-program.c
	${CMAKE_SOURCE_DIR}/libtas/tas-run-elf.c)
target_link_libraries(tas_run_yielding PRIVATE tas_plain_flags)
target_compile_definitions(tas_run_yielding PRIVATE TAS_LIBDIR="${YIELD_DIR}/lib" TAS_LIBEXECDIR="${YIELD_DIR}/bin")
add_custom_command(TARGET tas_run_yielding POST_BUILD COMMAND ${CMAKE_COMMAND} -E create_symlink
	$<TARGET_FILE:tasctl> ${YIELD_DIR}/bin/tasctl)
add_dependencies(tas_run_yielding tasctl)

foreach(pair tas_yielding:tas tas_run_yielding:tas-run tas_lib_yielding:tas)
	string(REPLACE ":" ";" pair ${pair})
	list(GET pair 0 target)
	list(GET pair 1 name)
	target_compile_definitions(${target} PRIVATE TAS_TEST_YIELD)
	set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${YIELD_DIR}/bin
		LIBRARY_OUTPUT_DIRECTORY ${YIELD_DIR}/lib)
endforeach()
