// SQLite, and what Swift can't import of it: a destructor that is a number in a pointer's clothes.
#pragma once
// As CLinux: the headers of the C library must mean the same in both modules.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sqlite3.h>

// SQLite copies the text before it returns.
static inline int cs_bind_text(sqlite3_stmt *statement, int index, const char *text, int length) {
  return sqlite3_bind_text(statement, index, text ? text : "", length, SQLITE_TRANSIENT);
}
