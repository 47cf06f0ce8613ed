// A unit file, as a user wrote it.

#include "base/limits.h"
#include "cluster/values.h"
#include "tests/fuzz/fuzz.h"
#include "unit/requirements.h"
#include "unit/unit_file.h"

using namespace fleet;

namespace {

// What the API would store of the file, and what every reader makes of that.
void check_stored(const UnitFile& file) {
  const UnitRecord record = make_unit_record("web@1.service", file);
  const Result<UnitRecord> read = decode_unit("web@1.service", encode(record));
  HOLDS(read && *read == record);
  HOLDS(record.hash == hash_of(file));
  for (const auto& [key, values] : record.requirements.metadata) {
    HOLDS(!key.empty() && !values.empty());
  }
  for (const std::string& glob : record.requirements.conflicts) HOLDS(!glob.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  const Result<UnitFile> file = parse_unit_file(text);
  if (!file) {
    fuzz::check_error(file);
    return 0;
  }
  HOLDS(text.size() <= limits::kUnitFileBytes);
  HOLDS(file->options.size() <= limits::kUnitFileOptions);
  for (std::size_t i = 0; i < file->options.size(); ++i) {
    const UnitOption& option = file->options[i];
    HOLDS(option.section.find(']') == std::string::npos);
    HOLDS(option.name.find_first_of("=\n") == std::string::npos);
    HOLDS(line_of_option(text, i) > 0);
  }
  HOLDS(line_of_option(text, file->options.size()) == 0);

  // The written text reads back, and from then on it is its own normal form.
  const Result<UnitFile> stored = parse_unit_file(serialize(*file));
  HOLDS(stored.has_value());
  const std::string normal = serialize(*stored);
  const Result<UnitFile> again = parse_unit_file(normal);
  HOLDS(again && serialize(*again) == normal);

  for (const OptionWarning& warning : option_warnings(*file)) {
    HOLDS(warning.option < file->options.size());
    HOLDS(!warning.text.empty());
  }
  if (const Status good = check_unit_file(*file)) {
    check_stored(*file);
  } else {
    fuzz::check_error(good);
  }
  return 0;
}
