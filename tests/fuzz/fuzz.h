// What the fuzz targets share. Each target is one file with one LLVMFuzzerTestOneInput
// (https://llvm.org/docs/LibFuzzer.html): it reads the input as something that comes from outside
// and states with HOLDS what must be true whatever the input is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fleet::fuzz {

inline void holds(bool condition, const char* text, const char* file, int line) {
  if (condition) return;
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, text);
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Takes what comes before the first `separator` off the front of `text`; all of it if there is
// none.
inline std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return taken;
}

// An error is for people: it says something, and does not repeat all that it was given.
template <class T>
void check_error(const T& failed) {
  holds(!failed.error().message.empty(), "the error says what is wrong", __FILE__, __LINE__);
  holds(failed.error().message.size() < 4096, "the error is short", __FILE__, __LINE__);
}

}  // namespace fleet::fuzz

#define HOLDS(condition) ::fleet::fuzz::holds((condition), #condition, __FILE__, __LINE__)
