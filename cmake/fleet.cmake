# Compiler settings, libraries and the two functions with which every folder is declared.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# A release is built to be run; its tests only on demand: --target fleet_tests.
option(FLEET_TESTS_IN_ALL "build the tests with everything else" ON)
add_custom_target(fleet_tests)

set(FLEET_SANITIZE "" CACHE STRING "sanitizers, as -fsanitize takes them")

# Line tables are enough for stack traces and keep objects small; full debug information doubles
# the build time of the gRPC and Beast units.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")

add_compile_options(-fno-omit-frame-pointer)
add_link_options(-fuse-ld=lld)
if(FLEET_SANITIZE)
  add_compile_options(-fsanitize=${FLEET_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FLEET_SANITIZE})
  # What gives the reports their names. An older one cannot read what this compiler writes, and reports without names
  # are not matched by tsan.supp.
  find_program(FLEET_SYMBOLIZER llvm-symbolizer-19 REQUIRED)
endif()

# Fuzz targets take the place of the tests' programs: everything is built to be traced by libFuzzer.
option(FLEET_FUZZ "build for fuzzing (the preset fuzz)" OFF)
if(FLEET_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(GTest REQUIRED)
find_package(OpenSSL REQUIRED)
include(GoogleTest)

# Our own code is built with these; headers of libraries come in as SYSTEM and are exempt.
add_library(fleet_warnings INTERFACE)
target_compile_options(fleet_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual -Wimplicit-fallthrough -Werror)

# Boost.JSON is used header-only with its one source unit (boost_json.cc), so that neither the
# build nor a target machine needs a compiled Boost library.
add_library(fleet_boost_json STATIC ${CMAKE_SOURCE_DIR}/cmake/boost_json.cc)
target_compile_definitions(fleet_boost_json PUBLIC BOOST_ALL_NO_LIB)

# fleet_library(NAME SOURCES ... LINKS ... [PRIVATE_LINKS ...]): one folder, one target. Files named
# *_test.cc beside the sources are not part of it; see fleet_test.
function(fleet_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC ${ARG_LINKS} PRIVATE fleet_warnings ${ARG_PRIVATE_LINKS})
endfunction()

# fleet_program(NAME SOURCES ... LINKS ...): a program in build/<preset>/bin.
function(fleet_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${name} PRIVATE fleet_warnings ${ARG_LINKS})
endfunction()

# fleet_only_for_tests(NAME): keeps a program out of a build that leaves the tests out.
function(fleet_only_for_tests name)
  add_dependencies(fleet_tests ${name})
  if(NOT FLEET_TESTS_IN_ALL)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
  endif()
endfunction()

# fleet_test(NAME SOURCES ... LINKS ...): a GoogleTest program that ctest runs as one test.
function(fleet_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE fleet_warnings GTest::gtest GTest::gmock GTest::gtest_main ${ARG_LINKS})
  target_compile_definitions(${name} PRIVATE FLEET_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 120)
  fleet_only_for_tests(${name})
endfunction()
