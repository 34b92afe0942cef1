#include "CZlib.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

// 15 bits of window, and 16 for gzip instead of zlib (deflateInit2(), zlib.h).
static int begin(z_stream *stream) {
    memset(stream, 0, sizeof *stream);
    return deflateInit2(stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}

size_t czlib_gzip_bound(size_t count) {
    z_stream stream;
    if (begin(&stream) != Z_OK) return 0;
    size_t bound = deflateBound(&stream, count);
    deflateEnd(&stream);
    return bound;
}

size_t czlib_gzip(const uint8_t *bytes, size_t count, uint8_t *output, size_t capacity) {
    z_stream stream;
    if (count > UINT_MAX || capacity > UINT_MAX || begin(&stream) != Z_OK) return 0;
    stream.next_in = (uint8_t *)bytes;
    stream.avail_in = (uInt)count;
    stream.next_out = output;
    stream.avail_out = (uInt)capacity;
    int result = deflate(&stream, Z_FINISH);
    size_t written = stream.total_out;
    deflateEnd(&stream);
    return result == Z_STREAM_END ? written : 0;
}
