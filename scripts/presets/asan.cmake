set(CMAKE_BUILD_TYPE Debug CACHE STRING "")
# Reports name lines; what a debugger wants beyond that would double the time to build.
set(CMAKE_C_FLAGS_DEBUG "-gline-tables-only" CACHE STRING "")
set(CMAKE_CXX_FLAGS_DEBUG "-gline-tables-only" CACHE STRING "")
set(CMAKE_C_COMPILER clang CACHE STRING "")
set(CMAKE_CXX_COMPILER clang++ CACHE STRING "")
set(VIVOFS_SANITIZE "address,undefined" CACHE STRING "")
set(VIVOFS_FUZZ ON CACHE BOOL "")
