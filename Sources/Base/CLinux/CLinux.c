// Everything is static inline in the header: system calls cost no second call.
#include "CLinux.h"
