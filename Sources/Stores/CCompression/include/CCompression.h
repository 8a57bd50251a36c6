// zlib and libzstd, and what Swift can't import of them: function-like macros.
#pragma once
// As CLinux: the headers of the C library must mean the same in both modules.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <zlib.h>
#include <zstd.h>

// A gzip reader (window bits 15, gzip wrapper only).
static inline int cc_inflate_init(z_stream *z) { return inflateInit2(z, 15 + 16); }
// A gzip writer.
static inline int cc_deflate_init(z_stream *z, int level) {
  return deflateInit2(z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}
// A frame that asks for a larger window is refused: log2 of the bytes of memory that decompression may take.
static inline size_t cc_zstd_limit_window(ZSTD_DCtx *d, int log2) {
  return ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, log2);
}
