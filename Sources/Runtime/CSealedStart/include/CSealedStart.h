// The entry point of berth-runtime, before the C library's: see SealedStart.c. Nothing of it is called from Swift.
#ifndef BERTH_SEALED_START_H
#define BERTH_SEALED_START_H
void berth_sealed_start(void);
#endif
