target_compile_definitions(unit_ctl_etc_test PRIVATE ETC_DIR="${CMAKE_SOURCE_DIR}/etc")
