// JSON that a client sends, or a server answers: read as each of the API's entities.

#include "api/json/entities.h"
#include "api/json/json_writer.h"
#include "api/json/status.h"
#include "base/limits.h"
#include "tests/fuzz/fuzz.h"

using namespace fleet;

namespace {

// What can be read can be written, and reads back as the same.
template <class Read>
void check(std::string_view text, Read read) {
  const auto entity = read(text);
  if (!entity) return fuzz::check_error(entity);
  const std::string written = to_json(*entity);
  HOLDS(to_valid_utf8(written) == written);
  HOLDS(written.find_first_of("<>&\n\r\t") == std::string::npos);
  const auto again = read(written);
  HOLDS(again.has_value());
  HOLDS(to_json(*again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  check(text, unit_from_json);
  check(text, unit_page_from_json);
  check(text, unit_state_from_json);
  check(text, unit_state_page_from_json);
  check(text, machine_from_json);
  check(text, machine_page_from_json);
  check(text, metadata_changes_from_json);
  check(text, error_from_json);
  check(text, status_from_json);
  const std::string mended = to_valid_utf8(text);
  HOLDS(to_valid_utf8(mended) == mended);
  return 0;
}
