#pragma once
#include <stddef.h>
#include <stdint.h>

// The most bytes that a gzip member of `count` bytes has (deflateBound(), zlib.h).
size_t czlib_gzip_bound(size_t count);

// Writes `count` bytes as one gzip member (RFC 1952); its length, or 0 when there is no memory or no room.
size_t czlib_gzip(const uint8_t *bytes, size_t count, uint8_t *output, size_t capacity);
